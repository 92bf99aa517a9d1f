// Probes and hooks. Upstream: pkg/apis/core/validation/validation.go (validateProbe, validateHandler, validateLifecycle)
import type { Draft } from '../../../../../lib/base/json.ts'
import type { HTTPGetAction, Lifecycle, LifecycleHandler, Probe } from '../../../../../lib/api/generated/types/core-v1.ts'
import { fieldForbidden, fieldInvalid, fieldNotSupported, fieldRequired } from '../../../../../lib/apimachinery/field-error.ts'
import type { FieldError } from '../../../../../lib/apimachinery/field-error.ts'
import { isHttpHeaderName, isValidPortName, isValidPortNumber } from '../../../../../lib/apimachinery/validation.ts'
import { pushInvalid, validateNonNegative } from '../../validate-object-meta.ts'

export function validatePortNumber(port: number | undefined, path: string, errors: FieldError[]): void {
  for (const text of isValidPortNumber(port ?? 0)) errors.push(fieldInvalid(path, port ?? 0, text))
}

export function validatePortNumberOrName(port: number | string | undefined, path: string, errors: FieldError[]): void {
  if (typeof port === 'string') pushInvalid(errors, path, port, isValidPortName)
  else validatePortNumber(port, path, errors)
}

function validateHttpGet(action: Draft<HTTPGetAction>, path: string, errors: FieldError[]): void {
  if (!action.path) errors.push(fieldRequired(`${path}.path`))
  validatePortNumberOrName(action.port, `${path}.port`, errors)
  if (action.scheme !== 'HTTP' && action.scheme !== 'HTTPS') errors.push(fieldNotSupported(`${path}.scheme`, action.scheme ?? '', ['HTTP', 'HTTPS']))
  for (const header of action.httpHeaders ?? []) pushInvalid(errors, `${path}.httpHeaders`, header.name ?? '', isHttpHeaderName)
}

type Handler = Draft<LifecycleHandler> & Pick<Draft<Probe>, 'grpc'>

function validateHandler(handler: Handler, gracePeriodSeconds: number | undefined, path: string, errors: FieldError[]): void {
  let count = 0
  const take = (name: string): boolean => {
    if (count === 0) { count++; return true }
    errors.push(fieldForbidden(`${path}.${name}`, 'may not specify more than 1 handler type'))
    return false
  }
  if (handler.exec && take('exec') && (handler.exec.command?.length ?? 0) === 0) errors.push(fieldRequired(`${path}.exec.command`))
  if (handler.httpGet && take('httpGet')) validateHttpGet(handler.httpGet, `${path}.httpGet`, errors)
  if (handler.tcpSocket && take('tcpSocket')) validatePortNumberOrName(handler.tcpSocket.port, `${path}.tcpSocket.port`, errors)
  if (handler.grpc && take('grpc')) validatePortNumber(handler.grpc.port, `${path}.grpc.port`, errors)
  if (handler.sleep && take('sleep')) {
    const seconds = handler.sleep.seconds ?? 0
    if (gracePeriodSeconds !== undefined && (seconds < 0 || seconds > gracePeriodSeconds)) {
      errors.push(fieldInvalid(`${path}.sleep`, seconds, `must be non-negative and less than terminationGracePeriodSeconds (${gracePeriodSeconds})`))
    }
  }
  if (count === 0) errors.push(fieldRequired(path, 'must specify a handler type'))
}

function validateProbe(probe: Draft<Probe>, gracePeriodSeconds: number | undefined, path: string, errors: FieldError[]): void {
  validateHandler(probe, gracePeriodSeconds, path, errors)
  validateNonNegative(probe.initialDelaySeconds, `${path}.initialDelaySeconds`, errors)
  validateNonNegative(probe.timeoutSeconds, `${path}.timeoutSeconds`, errors)
  validateNonNegative(probe.periodSeconds, `${path}.periodSeconds`, errors)
  validateNonNegative(probe.successThreshold, `${path}.successThreshold`, errors)
  validateNonNegative(probe.failureThreshold, `${path}.failureThreshold`, errors)
  const own = probe.terminationGracePeriodSeconds
  if (own !== undefined && own <= 0) errors.push(fieldInvalid(`${path}.terminationGracePeriodSeconds`, own, 'must be greater than 0'))
}

interface Probed {
  readonly livenessProbe?: Draft<Probe>
  readonly readinessProbe?: Draft<Probe>
  readonly startupProbe?: Draft<Probe>
  readonly lifecycle?: Draft<Lifecycle>
}

export function validateProbesAndHooks(container: Probed, gracePeriodSeconds: number | undefined, path: string, errors: FieldError[]): void {
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container
  if (lifecycle?.postStart) validateHandler(lifecycle.postStart, gracePeriodSeconds, `${path}.lifecycle.postStart`, errors)
  if (lifecycle?.preStop) validateHandler(lifecycle.preStop, gracePeriodSeconds, `${path}.lifecycle.preStop`, errors)
  const mustBeOne = (probe: Draft<Probe>, name: string): void => {
    validateProbe(probe, gracePeriodSeconds, `${path}.${name}`, errors)
    if (probe.successThreshold !== 1) errors.push(fieldInvalid(`${path}.${name}.successThreshold`, probe.successThreshold ?? 0, 'must be 1'))
  }
  if (livenessProbe) mustBeOne(livenessProbe, 'livenessProbe')
  if (readinessProbe) {
    validateProbe(readinessProbe, gracePeriodSeconds, `${path}.readinessProbe`, errors)
    const own = readinessProbe.terminationGracePeriodSeconds
    if (own !== undefined) errors.push(fieldInvalid(`${path}.readinessProbe.terminationGracePeriodSeconds`, own, 'must not be set for readinessProbes'))
  }
  if (startupProbe) mustBeOne(startupProbe, 'startupProbe')
}
