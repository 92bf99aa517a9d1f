package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func clientPrefixKeysOnly() []clientv3.OpOption {
	return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly()}
}

func (w *world) leaseOf(ctx context.Context, key string) (clientv3.LeaseID, error) {
	answer, err := w.client.Get(ctx, "/registry"+key)
	if err != nil || len(answer.Kvs) == 0 {
		return 0, errors.Join(err, errors.New("no key"))
	}
	return clientv3.LeaseID(answer.Kvs[0].Lease), nil
}

var leaseChecks = []check{
	{"events share leases", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(func(c *storagebackend.Config) { c.LeaseManagerConfig.MaxObjectCount = 3 }))
		leases := map[clientv3.LeaseID]int{}
		for i := 0; i < 7; i++ {
			name := fmt.Sprintf("e%d", i)
			ensure(r.Create(ctx, r.key(name), pod(name), nil, 3600))
			id := must(w.leaseOf(ctx, r.key(name)))
			leases[id]++
		}
		var granted int64
		for id := range leases {
			answer := must(w.client.TimeToLive(ctx, id, clientv3.WithAttachedKeys()))
			if len(answer.Keys) != leases[id] {
				return "", fmt.Errorf("lease with %d keys, attached %d", len(answer.Keys), leases[id])
			}
			granted = answer.GrantedTTL
		}
		return fmt.Sprintf("7 events, 3 to a lease: %d leases of %d s", len(leases), granted), nil
	}},
	{"what has a lease goes with its time, and watchers are told", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		watching := must(r.watch(ctx, "0", everything(), false))
		defer watching.Stop()
		ensure(r.Create(ctx, r.key("short"), pod("short"), nil, 2))
		started := time.Now()
		seen := must(texts(watching, 2))
		took := time.Since(started)
		gone := r.Get(ctx, r.key("short"), storage.GetOptions{}, &example.Pod{})
		return fmt.Sprintf("%s; not before its time: %v; then notFound=%v", seen, took > 1500*time.Millisecond, storage.IsNotFound(gone)), nil
	}},
	{"a lease of its own at each renewal, as API servers' master leases have", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(func(c *storagebackend.Config) { c.LeaseManagerConfig.ReuseDurationSeconds = 0 }))
		var ids []clientv3.LeaseID
		for i := 0; i < 2; i++ {
			ttl := uint64(15)
			ensure(r.GuaranteedUpdate(ctx, r.prefix+"/10.0.0.1", &example.Pod{}, true, nil, func(in runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
				p := in.(*example.Pod)
				p.Name = "10.0.0.1"
				p.Generation++
				return p, &ttl, nil
			}, nil))
			id := must(w.leaseOf(ctx, r.prefix+"/10.0.0.1"))
			ids = append(ids, id)
			time.Sleep(1100 * time.Millisecond)
		}
		old := must(w.client.TimeToLive(ctx, ids[0], clientv3.WithAttachedKeys()))
		now := must(w.client.TimeToLive(ctx, ids[1], clientv3.WithAttachedKeys()))
		return fmt.Sprintf("another lease: %v; keys of the old one: %d, of the new one: %d", ids[0] != ids[1], len(old.Keys), len(now.Keys)), nil
	}},
	{"an update without a time keeps none", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.Create(ctx, r.key("a"), pod("a"), nil, 1000))
		must(r.annotate(ctx, "a", "1"))
		id := must(w.leaseOf(ctx, r.key("a")))
		_, unknown := w.client.Put(ctx, "/elsewhere", "", clientv3.WithLease(12345))
		_, tooLong := w.client.Grant(ctx, 10_000_000_000)
		return fmt.Sprintf("lease 0: %v; unknown lease: %v; too long: %v", id == 0, errors.Is(unknown, rpctypes.ErrLeaseNotFound), errors.Is(tooLong, rpctypes.ErrLeaseTTLTooLarge)), nil
	}},
}
