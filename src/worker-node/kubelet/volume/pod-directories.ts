// Where a pod's things lie under the kubelet's root: the original's layout, which tools and people know.
// Upstream: pkg/kubelet/kubelet_getters.go

export const podsDirectory = (root: string): string => `${root}/pods`
export const podDirectory = (root: string, uid: string): string => `${root}/pods/${uid}`
export const volumeDirectory = (root: string, uid: string, plugin: VolumePlugin, name: string): string => `${podDirectory(root, uid)}/volumes/kubernetes.io~${plugin}/${name}`
export const subPathsDirectory = (root: string, uid: string): string => `${podDirectory(root, uid)}/volume-subpaths`
export const containerDirectory = (root: string, uid: string, container: string): string => `${podDirectory(root, uid)}/containers/${container}`
export const hostsFilePath = (root: string, uid: string): string => `${podDirectory(root, uid)}/etc-hosts`

export type VolumePlugin = 'empty-dir' | 'configmap' | 'secret' | 'projected' | 'downward-api'
