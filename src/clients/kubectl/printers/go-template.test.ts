import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseGoTemplate } from './go-template.ts'

const pods = { items: [{ metadata: { name: 'a', labels: { x: '1', y: '2' } }, status: { phase: 'Running', restarts: 3 } }, { metadata: { name: 'b' }, status: { phase: 'Pending', restarts: 0 } }], secret: 'aGVsbG8=' }
const cases: readonly (readonly [string, string])[] = [
  ['{{range .items}}{{.metadata.name}}{{"\\n"}}{{end}}', 'a\nb\n'],
  ['{{range $i, $p := .items}}{{$i}}={{$p.metadata.name}} {{end}}', '0=a 1=b '],
  ['{{len .items}}', '2'], ['{{(index .items 0).metadata.name}}', 'a'], ['{{index .items 1 "status" "phase"}}', 'Pending'],
  ['{{range .items}}{{if eq .status.phase "Running"}}up{{else}}down{{end}},{{end}}', 'up,down,'],
  ['{{range .items}}{{if and .metadata.labels (gt .status.restarts 2)}}{{.metadata.name}}{{end}}{{end}}', 'a'],
  ['{{.secret | base64decode}}', 'hello'], ['{{printf "%-5s|%03d" "ab" 7}}', 'ab   |007'], ['{{.nothing}}', '<no value>'],
  ['{{with .nothing}}x{{else}}none{{end}}', 'none'], ['a {{- /* gone */ -}} b', 'ab'], ['{{- range .items -}} {{.metadata.name}} {{- end}}', 'ab'],
  ['{{range $k, $v := (index .items 0).metadata.labels}}{{$k}}{{$v}}{{end}}', 'x1y2'], ['{{$n := 0}}{{range .items}}{{$n = .status.restarts}}{{end}}{{$n}}', '0'],
  ['{{range .items}}{{if eq .metadata.name "b"}}{{break}}{{end}}{{.metadata.name}}{{end}}', 'a'],
]
for (const [template, expected] of cases) test(`go-template ${template}`, () => assert.equal(parseGoTemplate(template).render(pods), expected))
test('broken templates are refused', () => { for (const bad of ['{{', '{{range .x}}', '{{end}}', '{{nosuch .}}']) assert.throws(() => parseGoTemplate(bad).render(pods), bad) })
