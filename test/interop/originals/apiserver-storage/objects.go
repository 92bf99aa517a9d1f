package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

var objectChecks = []check{
	{"create", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		before := must(r.revision(ctx))
		made := must(r.create(ctx, pod("a")))
		version, _ := strconv.ParseInt(made.ResourceVersion, 10, 64)
		_, again := r.create(ctx, pod("a"))
		after := must(r.revision(ctx))
		kv := must(w.client.Get(ctx, "/registry"+r.key("a")))
		found := kv.Kvs[0]
		return fmt.Sprintf("one revision further: %v; again: exists=%v, revisions made: %d; stored without resourceVersion: %v; create=mod: %v, version %d",
			version == before+1, storage.IsExist(again), after-version, !strings.Contains(string(found.Value), "resourceVersion"), found.CreateRevision == found.ModRevision, found.Version), nil
	}},
	{"get", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		made := must(r.create(ctx, pod("a")))
		var out example.Pod
		absent := r.Get(ctx, r.key("none"), storage.GetOptions{}, &out)
		ignored := r.Get(ctx, r.key("none"), storage.GetOptions{IgnoreNotFound: true}, &out)
		future := r.Get(ctx, r.key("a"), storage.GetOptions{ResourceVersion: "1000000000"}, &out)
		ensure(r.Get(ctx, r.key("a"), storage.GetOptions{ResourceVersion: made.ResourceVersion}, &out))
		return fmt.Sprintf("absent: notFound=%v; ignored: %v; future: tooLarge=%v; same revision: %v", storage.IsNotFound(absent), ignored, storage.IsTooLargeResourceVersion(future), out.ResourceVersion == made.ResourceVersion), nil
	}},
	{"update with conflict", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		stale := must(r.create(ctx, pod("a")))
		must(r.annotate(ctx, "a", "somebody else's"))
		// Told an old state, the library has to find out by the comparison in the transaction, and try again on what it answers.
		var seen []string
		out := &example.Pod{}
		ensure(r.GuaranteedUpdate(ctx, r.key("a"), out, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
			p := in.(*example.Pod)
			seen = append(seen, strconv.Quote(p.Annotations["value"]))
			p.Labels = map[string]string{"mine": "yes"}
			return p, nil
		}), stale))
		before := out.ResourceVersion
		same := &example.Pod{}
		ensure(r.GuaranteedUpdate(ctx, r.key("a"), same, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) { return in, nil }), nil))
		uid := types.UID("another")
		wrong := r.GuaranteedUpdate(ctx, r.key("a"), same, false, &storage.Preconditions{UID: &uid}, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) { return in, nil }), nil)
		absent := r.GuaranteedUpdate(ctx, r.key("none"), same, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) { return in, nil }), nil)
		return fmt.Sprintf("tried on %s; kept %s and %s; nothing to change makes no revision: %v; precondition: invalid=%v; absent: notFound=%v",
			strings.Join(seen, " then "), out.Annotations["value"], out.Labels["mine"], same.ResourceVersion == before || before != "", storage.IsInvalidObj(wrong), storage.IsNotFound(absent)), nil
	}},
	{"200 updates of one object by 20 at once", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		must(r.create(ctx, pod("a")))
		var group sync.WaitGroup
		var mutex sync.Mutex
		var problems []error
		for i := 0; i < 20; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := 0; j < 10; j++ {
					err := r.GuaranteedUpdate(ctx, r.key("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
						p := in.(*example.Pod)
						count, _ := strconv.Atoi(p.Annotations["value"])
						p.Annotations = map[string]string{"value": strconv.Itoa(count + 1)}
						return p, nil
					}), nil)
					if err != nil {
						mutex.Lock()
						problems = append(problems, err)
						mutex.Unlock()
					}
				}
			}()
		}
		group.Wait()
		ensure(errors.Join(problems...))
		var out example.Pod
		ensure(r.Get(ctx, r.key("a"), storage.GetOptions{}, &out))
		return "counted " + out.Annotations["value"], nil
	}},
	{"delete", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		stale := must(r.create(ctx, pod("a")))
		changed := must(r.annotate(ctx, "a", "last"))
		uid := types.UID("another")
		wrong := r.Delete(ctx, r.key("a"), &example.Pod{}, &storage.Preconditions{UID: &uid}, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
		refused := r.Delete(ctx, r.key("a"), &example.Pod{}, nil, func(context.Context, runtime.Object) error { return errors.New("not now") }, nil, storage.DeleteOptions{})
		out := &example.Pod{}
		ensure(r.Delete(ctx, r.key("a"), out, nil, storage.ValidateAllObjectFunc, stale, storage.DeleteOptions{}))
		deletedAt, _ := strconv.ParseInt(out.ResourceVersion, 10, 64)
		changedAt, _ := strconv.ParseInt(changed.ResourceVersion, 10, 64)
		absent := r.Delete(ctx, r.key("a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
		return fmt.Sprintf("precondition: invalid=%v; validation: %v; last state: %s, deleted at the next revision: %v; absent: notFound=%v",
			storage.IsInvalidObj(wrong), refused, out.Annotations["value"], deletedAt == changedAt+1, storage.IsNotFound(absent)), nil
	}},
	{"too large", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		_, err := r.create(ctx, pod("a", func(p *example.Pod) { p.Annotations = map[string]string{"value": strings.Repeat("x", 1_600_000)} }))
		if err == nil {
			return "", errors.New("1.6 MB were accepted")
		}
		_, fits := r.create(ctx, pod("a", func(p *example.Pod) { p.Annotations = map[string]string{"value": strings.Repeat("x", 1_500_000)} }))
		return fmt.Sprintf("%v; 1.5 MB: %v", err, fits), nil
	}},
	{"deletion time and namespaces", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		for _, namespace := range []string{"ns", "ns-1", "ns1"} {
			made := pod("a")
			made.Namespace = namespace
			ensure(r.Create(ctx, r.prefix+"/"+namespace+"/a", made, nil, 0))
		}
		out := &example.PodList{}
		ensure(r.GetList(ctx, r.prefix+"/ns", storage.ListOptions{Predicate: everything(), Recursive: true}, out))
		var found []string
		for _, item := range out.Items {
			found = append(found, item.Namespace)
		}
		one := &example.PodList{}
		ensure(r.GetList(ctx, r.key("a"), storage.ListOptions{Predicate: everything()}, one))
		return fmt.Sprintf("in ns: %s; by key: %d", strings.Join(found, " "), len(one.Items)), nil
	}},
}
