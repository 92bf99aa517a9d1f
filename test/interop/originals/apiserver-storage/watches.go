package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func (r *resource) watch(ctx context.Context, revision string, predicate storage.SelectionPredicate, progress bool) (watch.Interface, error) {
	return r.Watch(ctx, r.dir(), storage.ListOptions{ResourceVersion: revision, Predicate: predicate, Recursive: true, ProgressNotify: progress})
}

var watchChecks = []check{
	{"watch from a revision, into the present", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		made := must(r.create(ctx, pod("a")))
		must(r.annotate(ctx, "a", "1"))
		watching := must(r.watch(ctx, made.ResourceVersion, everything(), false))
		defer watching.Stop()
		must(r.create(ctx, pod("b")))
		gone := must(r.delete(ctx, "a"))
		seen := must(texts(watching, 2))
		last := must(next(watching))
		deleted, ok := last.Object.(*example.Pod)
		if !ok {
			return "", fmt.Errorf("not a pod: %T", last.Object)
		}
		return fmt.Sprintf("%s, %s (its revision is the deletion's: %v)", seen, text(last), deleted.ResourceVersion == gone.ResourceVersion), nil
	}},
	{"watch from 0 begins with what is there", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.fill(ctx, 3))
		watching := must(r.watch(ctx, "0", everything(), false))
		defer watching.Stop()
		must(r.annotate(ctx, "p0001", "new"))
		return texts(watching, 4)
	}},
	{"watch with a selector: objects come and go by their labels", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		must(r.create(ctx, pod("a", labelled("app", "web"))))
		watching := must(r.watch(ctx, "0", selecting("app=web"), false))
		defer watching.Stop()
		for _, value := range []string{"db", "web"} {
			if err := r.GuaranteedUpdate(ctx, r.key("a"), &example.Pod{}, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
				p := in.(*example.Pod)
				p.Labels = map[string]string{"app": value}
				return p, nil
			}), nil); err != nil {
				return "", err
			}
		}
		must(r.create(ctx, pod("other", labelled("app", "db"))))
		must(r.delete(ctx, "a"))
		return texts(watching, 4)
	}},
	{"watch from a compacted revision", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		made := must(r.create(ctx, pod("a")))
		for _, value := range []string{"1", "2"} {
			must(r.annotate(ctx, "a", value))
		}
		revision := must(r.revision(ctx))
		must(w.client.Compact(ctx, revision))
		watching := must(r.watch(ctx, made.ResourceVersion, everything(), false))
		defer watching.Stop()
		event := must(next(watching))
		status, ok := event.Object.(*metav1.Status)
		if !ok {
			return "", fmt.Errorf("not a status: %s", text(event))
		}
		// An API server that was this far goes on. (The change at the compacted revision itself has lost its previous value in the original.)
		at := must(r.watch(ctx, strconv.FormatInt(revision, 10), everything(), false))
		defer at.Stop()
		must(r.annotate(ctx, "a", "3"))
		still := must(nextText(at))
		return fmt.Sprintf("%d %s: %s; behind it: %s", status.Code, status.Reason, status.Message, still), nil
	}},
	{"progress on request", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		made := must(r.create(ctx, pod("a")))
		watching := must(r.watch(ctx, made.ResourceVersion, everything(), true))
		defer watching.Stop()
		for i := 0; i < 3; i++ {
			// Writes elsewhere: the watch itself sees nothing of them.
			must(w.client.Put(ctx, "/elsewhere", strconv.Itoa(i)))
		}
		revision := must(r.revision(ctx))
		for started := time.Now(); time.Since(started) < 5*time.Second; {
			ensure(r.RequestWatchProgress(ctx))
			select {
			case event := <-watching.ResultChan():
				p, ok := event.Object.(*example.Pod)
				if event.Type != watch.Bookmark || !ok {
					return "", fmt.Errorf("not a bookmark: %s", text(event))
				}
				if at, _ := strconv.ParseInt(p.ResourceVersion, 10, 64); at == revision {
					return "a bookmark at the store's revision", nil
				} else if at > revision {
					return "", errors.New("a bookmark of the future")
				}
			case <-time.After(100 * time.Millisecond):
			}
		}
		return "", errors.New("no bookmark in 5 s")
	}},
	{"progress never overtakes events", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		made := must(r.create(ctx, pod("a")))
		watching := must(r.watch(ctx, made.ResourceVersion, everything(), true))
		defer watching.Stop()
		stop := make(chan struct{})
		var group sync.WaitGroup
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					_ = r.RequestWatchProgress(ctx)
				}
			}
		}()
		written := make(chan error, 1)
		go func() {
			for i := 0; i < 300; i++ {
				if _, err := r.annotate(ctx, "a", strconv.Itoa(i)); err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		var bookmarked, changes int64
		var last int64
		for changes < 300 {
			event := must(next(watching))
			p, ok := event.Object.(*example.Pod)
			if !ok {
				return "", errors.New(text(event))
			}
			at, _ := strconv.ParseInt(p.ResourceVersion, 10, 64)
			if event.Type == watch.Bookmark {
				bookmarked = max(bookmarked, at)
				continue
			}
			if at <= bookmarked {
				return "", fmt.Errorf("event %d after a bookmark at %d", at, bookmarked)
			}
			if at <= last {
				return "", fmt.Errorf("event %d after event %d", at, last)
			}
			last = at
			changes++
		}
		close(stop)
		group.Wait()
		return fmt.Sprintf("%d events in order, with bookmarks between: %v", changes, bookmarked > 0), <-written
	}},
	{"1,000 changes by 10 at once: each event once, in order", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		// Not from 0: what is there already would come in the order of names.
		revision := must(r.revision(ctx))
		watching := must(r.watch(ctx, strconv.FormatInt(revision, 10), everything(), false))
		defer watching.Stop()
		errs := make(chan error, 10)
		for lane := 0; lane < 10; lane++ {
			go func() {
				name := fmt.Sprintf("p%d", lane)
				_, err := r.create(ctx, pod(name))
				for i := 0; i < 98 && err == nil; i++ {
					_, err = r.annotate(ctx, name, strconv.Itoa(i))
				}
				if err == nil {
					_, err = r.delete(ctx, name)
				}
				errs <- err
			}()
		}
		counts := map[watch.EventType]int{}
		values := map[string]int{}
		var last int64
		for i := 0; i < 1000; i++ {
			event, err := next(watching)
			if err != nil {
				return "", fmt.Errorf("after %d: %w", i, err)
			}
			p, ok := event.Object.(*example.Pod)
			if !ok {
				return "", errors.New(text(event))
			}
			at, _ := strconv.ParseInt(p.ResourceVersion, 10, 64)
			if at <= last {
				return "", fmt.Errorf("revision %d after %d", at, last)
			}
			last = at
			counts[event.Type]++
			if event.Type == watch.Modified {
				if value, _ := strconv.Atoi(p.Annotations["value"]); value != values[p.Name] {
					return "", fmt.Errorf("%s: value %d where %d was due", p.Name, value, values[p.Name])
				}
				values[p.Name]++
			}
		}
		for lane := 0; lane < 10; lane++ {
			ensure(<-errs)
		}
		return fmt.Sprintf("%d added, %d modified, %d deleted", counts[watch.Added], counts[watch.Modified], counts[watch.Deleted]), nil
	}},
}
