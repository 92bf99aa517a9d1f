package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// The watch cache in front of a storage, as the API server puts it.
func (w *world) cached() (*resource, error) {
	r, err := w.resource(nil)
	if err != nil {
		return nil, err
	}
	made, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: r.Interface, Versioner: storage.APIObjectVersioner{}, GroupResource: r.gr, EventsHistoryWindow: storagebackend.DefaultEventsHistoryWindow, ResourcePrefix: r.prefix,
		KeyFunc: func(obj runtime.Object) (string, error) {
			p, ok := obj.(*example.Pod)
			if !ok {
				return "", fmt.Errorf("not a pod: %T", obj)
			}
			return r.key(p.Name), nil
		},
		NewFunc: newPod, NewListFunc: newList, GetAttrsFunc: attributes, Codec: r.codec,
	})
	if err != nil {
		return nil, err
	}
	delegating := cacher.NewCacheDelegator(made, r.Interface)
	w.destroy = append([]func(){delegating.Stop, made.Stop}, w.destroy...)
	for started := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err := delegating.ReadinessCheck(); err == nil {
			break
		}
		if time.Since(started) > 10*time.Second {
			return nil, errors.New("the watch cache is not ready after 10 s")
		}
	}
	return &resource{Interface: delegating, prefix: r.prefix, gr: r.gr, codec: r.codec}, nil
}

var cacherChecks = []check{
	{"feature check", func(ctx context.Context, w *world) (string, error) {
		client := must(w.connect())
		defer client.Close()
		checker := etcdfeature.NewDefaultFeatureSupportChecker()
		checker.CheckClient(ctx, client, storage.RequestWatchProgress)
		for started := time.Now(); !checker.Supports(storage.RequestWatchProgress); time.Sleep(10 * time.Millisecond) {
			if time.Since(started) > 3*time.Second {
				return "consistent lists from the cache are not supported", nil
			}
		}
		return "consistent lists from the cache are supported", nil
	}},
	{"consistent lists from the watch cache", func(ctx context.Context, w *world) (string, error) {
		r := must(w.cached())
		ensure(r.fill(ctx, 5))
		started := time.Now()
		for i := 0; i < 10; i++ {
			// Without an answer to the progress request each of these would wait three seconds.
			answer := must(w.client.Put(ctx, "/elsewhere", strconv.Itoa(i)))
			list := must(r.list(ctx, storage.ListOptions{}))
			at, _ := strconv.ParseInt(list.ResourceVersion, 10, 64)
			if len(list.Items) != 5 || at < answer.Header.Revision {
				return "", fmt.Errorf("%d items at %d, wrote %d before", len(list.Items), at, answer.Header.Revision)
			}
		}
		took := time.Since(started)
		for i := 0; i < 20; i++ {
			name := fmt.Sprintf("own%d", i)
			must(r.create(ctx, pod(name)))
			list := must(r.list(ctx, storage.ListOptions{}))
			if len(list.Items) != 6+i {
				return "", fmt.Errorf("what was just written is missing: %d items", len(list.Items))
			}
		}
		return fmt.Sprintf("10 after writes elsewhere, fast: %v; 20 after own writes, each complete", took < 3*time.Second), nil
	}},
	{"watch cache: pages, exact and old lists", func(ctx context.Context, w *world) (string, error) {
		r := must(w.cached())
		ensure(r.fill(ctx, 10))
		first := must(r.list(ctx, page(4, "")))
		must(r.delete(ctx, "p0005"))
		second := must(r.list(ctx, page(4, first.Continue)))
		exact := must(r.list(ctx, storage.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}))
		return fmt.Sprintf("%s; %s; exact: %d", names(first), names(second), len(exact.Items)), nil
	}},
	{"watch cache: initial events, then a bookmark, then changes", func(ctx context.Context, w *world) (string, error) {
		r := must(w.cached())
		ensure(r.fill(ctx, 3))
		predicate := everything()
		predicate.AllowWatchBookmarks = true
		yes := true
		watching := must(r.Watch(ctx, r.dir(), storage.ListOptions{Recursive: true, Predicate: predicate, SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}))
		defer watching.Stop()
		seen := must(texts(watching, 3))
		mark := must(next(watching))
		p, ok := mark.Object.(*example.Pod)
		if !ok || mark.Type != watch.Bookmark {
			return "", fmt.Errorf("not the bookmark: %s", text(mark))
		}
		must(r.annotate(ctx, "p0001", "new"))
		must(r.delete(ctx, "p0002"))
		then := must(texts(watching, 2))
		return fmt.Sprintf("%s | end of initial events: %s | %s", seen, p.Annotations[metav1.InitialEventsAnnotationKey], then), nil
	}},
	{"two watch caches over one etcd agree", func(ctx context.Context, w *world) (string, error) {
		a := must(w.cached())
		// The second one is another API server's: the same keys through clients of its own.
		w.count--
		b := must(w.cached())
		for i := 0; i < 30; i++ {
			made := must(a.create(ctx, pod(fmt.Sprintf("p%04d", i))))
			list := must(b.list(ctx, storage.ListOptions{}))
			written, _ := strconv.ParseInt(made.ResourceVersion, 10, 64)
			at, _ := strconv.ParseInt(list.ResourceVersion, 10, 64)
			if at < written || len(list.Items) != i+1 {
				return "", fmt.Errorf("the other one went back: %d items at %d, written at %d", len(list.Items), at, written)
			}
			a, b = b, a
		}
		return "30 writes, each seen at once through the other", nil
	}},
}
