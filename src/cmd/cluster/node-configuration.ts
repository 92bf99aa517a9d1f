// What the cluster tells a node's process: written as a file beside its run-time state, read by src/cmd/node.ts.
export interface NodeConfiguration {
  readonly name: string
  readonly addresses: readonly string[]
  /** The API server as the node reaches it. */
  readonly server: string
  readonly certificateAuthority: string
  readonly kubelet: { readonly certificate: string; readonly key: string }
  readonly kubeProxy: { readonly certificate: string; readonly key: string }
  readonly dataDir: string
  readonly runDir: string
  /** Below every cgroup hierarchy's root. */
  readonly cgroup: string
  readonly podCidr: string
  readonly clusterCidr: string
  readonly serviceCidr: string
  readonly clusterDns: readonly string[]
  /** Registries (host:port, or host) that are reached by plain HTTP. */
  readonly insecureRegistries: readonly string[]
  readonly verbosity: number
}
