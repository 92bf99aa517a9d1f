package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/utils/clock"
)

var serverChecks = []check{
	{"health, readiness, size", func(ctx context.Context, w *world) (string, error) {
		stop := make(chan struct{})
		defer close(stop)
		config := w.config(nil)
		healthy := must(factory.CreateHealthCheck(config, stop))
		ready := must(factory.CreateReadyCheck(config, stop))
		for started := time.Now(); healthy() != nil || ready() != nil; time.Sleep(50 * time.Millisecond) {
			if time.Since(started) > 10*time.Second {
				return "", errors.Join(healthy(), ready())
			}
		}
		prober := must(factory.CreateProber(config))
		defer prober.Close()
		ensure(prober.Probe(ctx))
		monitor := must(factory.CreateMonitor(config))
		defer monitor.Close()
		metrics := must(monitor.Monitor(ctx))
		return fmt.Sprintf("healthy, ready, a size: %v", metrics.Size > 0), nil
	}},
	{"two compactors take turns by compact_rev_key", func(ctx context.Context, w *world) (string, error) {
		put := func() (int64, error) {
			answer, err := w.client.Put(ctx, "/elsewhere", "x")
			if err != nil {
				return 0, err
			}
			return answer.Header.Revision, nil
		}
		must(w.client.Delete(ctx, "compact_rev_key"))
		old := must(put())
		version, revision, compacted, err := etcd3.Compact(ctx, w.client, 0, 0)
		if err != nil {
			return "", err
		}
		first := fmt.Sprintf("first: version %d, compacts nothing: %v", version, compacted == 0)
		// The second server finds that somebody was there.
		otherVersion, otherRevision, _, err := etcd3.Compact(ctx, w.client, 0, 0)
		if err != nil {
			return "", err
		}
		second := fmt.Sprintf("second: version %d, newer: %v", otherVersion, otherRevision >= revision)
		must(put())
		version, _, compacted, err = etcd3.Compact(ctx, w.client, version, revision)
		if err != nil {
			return "", err
		}
		third := fmt.Sprintf("third: version %d, compacted where the first was: %v", version, compacted == revision)
		_, gone := w.client.Get(ctx, "/elsewhere", clientv3.WithRev(old-1))
		answer := must(w.client.Get(ctx, "compact_rev_key"))
		return fmt.Sprintf("%s; %s; %s; the key tells it: %v; older is gone: %v", first, second, third, string(answer.Kvs[0].Value) == strconv.FormatInt(revision, 10), errors.Is(gone, rpctypes.ErrCompacted)), nil
	}},
	{"a running compactor, and one that only looks", func(ctx context.Context, w *world) (string, error) {
		looking := must(w.connect())
		defer looking.Close()
		watcher := etcd3.NewCompactor(looking.Client, 0, clock.RealClock{}, nil)
		defer watcher.Stop()
		working := must(w.connect())
		defer working.Close()
		compactor := etcd3.StartCompactorPerEndpoint(working.Client, 300*time.Millisecond)
		defer compactor.Stop()
		for started := time.Now(); time.Since(started) < 15*time.Second; time.Sleep(50 * time.Millisecond) {
			must(w.client.Put(ctx, "/elsewhere", "y"))
			if compactor.CompactRevision() > 0 && watcher.CompactRevision() > 0 {
				return "both know the compacted revision", nil
			}
		}
		return "", fmt.Errorf("after 15 s: %d and %d", compactor.CompactRevision(), watcher.CompactRevision())
	}},
	{"150 connections opened at once, each with a watch", func(ctx context.Context, w *world) (string, error) {
		const count = 150
		clients := make([]*kubernetes.Client, count)
		var group sync.WaitGroup
		errs := make(chan error, count)
		got := make(chan string, count)
		created := make(chan struct{}, count)
		for i := range clients {
			group.Add(1)
			go func() {
				defer group.Done()
				client, err := w.connect()
				if err != nil {
					errs <- err
					return
				}
				clients[i] = client
				answer, err := client.Kubernetes.List(ctx, "/registry/", kubernetes.ListOptions{Limit: 1})
				if err != nil {
					errs <- err
					return
				}
				watching := client.Watch(clientv3.WithRequireLeader(ctx), "/many/", clientv3.WithPrefix(), clientv3.WithRev(answer.Revision+1), clientv3.WithPrevKV(), clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
				for response := range watching {
					if response.Created {
						created <- struct{}{}
						continue
					}
					if err := response.Err(); err != nil {
						errs <- err
						return
					}
					if len(response.Events) > 0 {
						got <- string(response.Events[0].Kv.Value)
						return
					}
				}
				errs <- errors.New("a watch ended")
			}()
		}
		defer func() {
			for _, client := range clients {
				if client != nil {
					_ = client.Close()
				}
			}
		}()
		for i := 0; i < count; i++ {
			select {
			case <-created:
			case err := <-errs:
				return "", err
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		must(w.client.Put(ctx, "/many/a", "hello"))
		group.Wait()
		select {
		case err := <-errs:
			return "", err
		default:
		}
		same := 0
		for i := 0; i < count; i++ {
			if <-got == "hello" {
				same++
			}
		}
		return fmt.Sprintf("%d connections, %d events", count, same), nil
	}},
	{"errors by their texts", func(ctx context.Context, w *world) (string, error) {
		_, noKey := w.client.Get(ctx, "")
		_, future := w.client.Get(ctx, "a", clientv3.WithRev(1_000_000_000))
		_, compactFuture := w.client.Compact(ctx, 1_000_000_000)
		_, compactOld := w.client.Compact(ctx, 1)
		var operations []clientv3.Op
		for i := 0; i < 129; i++ {
			operations = append(operations, clientv3.OpPut("k"+strconv.Itoa(i), ""))
		}
		_, many := w.client.Txn(ctx).Then(operations...).Commit()
		_, twice := w.client.Txn(ctx).Then(clientv3.OpPut("k", ""), clientv3.OpPut("k", "")).Commit()
		return fmt.Sprintf("emptyKey=%v futureRev=%v %v compacted=%v tooManyOps=%v duplicateKey=%v", errors.Is(noKey, rpctypes.ErrEmptyKey), errors.Is(future, rpctypes.ErrFutureRev), errors.Is(compactFuture, rpctypes.ErrFutureRev),
			errors.Is(compactOld, rpctypes.ErrCompacted), errors.Is(many, rpctypes.ErrTooManyOps), errors.Is(twice, rpctypes.ErrDuplicateKey)), nil
	}},
}
