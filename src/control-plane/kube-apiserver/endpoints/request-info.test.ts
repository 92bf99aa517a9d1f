import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseRequestInfo } from './request-info.ts'

const read = (method: string, url: string): string => {
  const [path = '', query = ''] = url.split('?')
  const info = parseRequestInfo(method, path, new URLSearchParams(query))
  return info.isResource ? `${info.verb} ${info.group}/${info.version} ${info.resource}${info.subresource && `/${info.subresource}`} ns=${info.namespace} name=${info.name}` : `${info.verb} ${info.path}`
}

test('paths and methods become verbs and resources', () => {
  for (const [method, url, expected] of [
    ['GET', '/api/v1/namespaces/default/pods', 'list /v1 pods ns=default name='],
    ['GET', '/api/v1/namespaces/default/pods?watch=true', 'watch /v1 pods ns=default name='],
    ['GET', '/api/v1/namespaces/default/pods?watch=false', 'list /v1 pods ns=default name='],
    ['GET', '/api/v1/watch/namespaces/default/pods/p', 'watch /v1 pods ns=default name=p'],
    ['GET', '/api/v1/pods?fieldSelector=metadata.name%3Dp', 'list /v1 pods ns= name=p'],
    ['HEAD', '/apis/apps/v1/namespaces/default/deployments/d', 'get apps/v1 deployments ns=default name=d'],
    ['PUT', '/apis/apps/v1/namespaces/default/deployments/d/status', 'update apps/v1 deployments/status ns=default name=d'],
    ['GET', '/api/v1/namespaces/x', 'get /v1 namespaces ns=x name=x'],
    ['PUT', '/api/v1/namespaces/x/finalize', 'update /v1 namespaces/finalize ns=x name=x'],
    ['DELETE', '/api/v1/namespaces/x/pods', 'deletecollection /v1 pods ns=x name='],
    ['POST', '/api/v1/namespaces/x/pods/p/exec', 'create /v1 pods/exec ns=x name=p'],
    ['GET', '/api/v1/nodes/n/proxy/metrics/cadvisor', 'get /v1 nodes/proxy ns= name=n'],
    ['GET', '/api/v1', 'get /api/v1'],
    ['GET', '/apis/apps/v1', 'get /apis/apps/v1'],
    ['POST', '/healthz', 'post /healthz'],
  ] as const) assert.equal(read(method, url), expected)
})
