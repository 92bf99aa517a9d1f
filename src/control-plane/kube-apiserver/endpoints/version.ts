// The version that this server speaks: the API of Kubernetes 1.37.
export const kubernetesVersion = {
  major: '1', minor: '37', emulationMajor: '1', emulationMinor: '37', minCompatibilityMajor: '1', minCompatibilityMinor: '36', gitVersion: 'v1.37.0', gitCommit: 'k8ts', gitTreeState: 'clean', buildDate: '2026-11-22T00:00:00Z',
  goVersion: 'node', compiler: 'v8', platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const
