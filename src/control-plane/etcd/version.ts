// The version of etcd whose protocol we speak. Clients choose features by it (kube-apiserver wants at least 3.5.13 for consistent lists).

export const etcdVersion = '3.7.3'
export const etcdClusterVersion = '3.7.0'
export const etcdStorageVersion = '3.7.0'
