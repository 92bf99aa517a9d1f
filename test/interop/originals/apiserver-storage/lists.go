package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
)

func page(limit int64, token string) storage.ListOptions {
	predicate := everything()
	predicate.Limit, predicate.Continue = limit, token
	return storage.ListOptions{Predicate: predicate}
}

func (r *resource) fill(ctx context.Context, count int, change ...func(int, *example.Pod)) error {
	for i := 0; i < count; i++ {
		made := pod(fmt.Sprintf("p%04d", i))
		for _, one := range change {
			one(i, made)
		}
		if _, err := r.create(ctx, made); err != nil {
			return err
		}
	}
	return nil
}

var listChecks = []check{
	{"list in pages", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.fill(ctx, 25))
		var lines []string
		var revision string
		token := ""
		for {
			list := must(r.list(ctx, page(10, token)))
			remaining := "none"
			if list.RemainingItemCount != nil {
				remaining = strconv.FormatInt(*list.RemainingItemCount, 10)
			}
			if revision == "" {
				revision = list.ResourceVersion
				// What happens between the pages is not in them.
				must(r.create(ctx, pod("p0015a")))
				must(r.delete(ctx, "p0020"))
			}
			lines = append(lines, fmt.Sprintf("%d from %s, %s remain, same revision %v", len(list.Items), list.Items[0].Name, remaining, list.ResourceVersion == revision))
			if token = list.Continue; token == "" {
				break
			}
		}
		exact := must(r.list(ctx, storage.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact}))
		now := must(r.list(ctx, storage.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}))
		_, future := r.list(ctx, storage.ListOptions{ResourceVersion: "1000000000", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		_, notYet := r.list(ctx, storage.ListOptions{ResourceVersion: "1000000000", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
		return fmt.Sprintf("%s; then %d at the first revision, %d now; future: tooLarge=%v %v", strings.Join(lines, "; "), len(exact.Items), len(now.Items), storage.IsTooLargeResourceVersion(future), storage.IsTooLargeResourceVersion(notYet)), nil
	}},
	{"list with a selector in pages", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.fill(ctx, 40, func(i int, p *example.Pod) { p.Labels = map[string]string{"third": strconv.FormatBool(i%3 == 0)} }))
		var lines []string
		token := ""
		for {
			predicate := selecting("third=true")
			predicate.Limit, predicate.Continue = 5, token
			list := must(r.list(ctx, storage.ListOptions{Predicate: predicate}))
			lines = append(lines, names(list))
			if list.RemainingItemCount != nil {
				return "", errors.New("a remaining count with a selector")
			}
			if token = list.Continue; token == "" {
				return strings.Join(lines, " | "), nil
			}
		}
	}},
	{"compaction: continue tokens and old revisions", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.fill(ctx, 9))
		first := must(r.list(ctx, page(4, "")))
		must(r.delete(ctx, "p0005"))
		revision := must(r.revision(ctx))
		must(w.client.Compact(ctx, revision))
		_, tooOld := r.list(ctx, page(4, first.Continue))
		_, exact := r.list(ctx, storage.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		var status apierrors.APIStatus
		if !errors.As(tooOld, &status) {
			return "", fmt.Errorf("no status: %w", tooOld)
		}
		token := status.Status().ListMeta.Continue
		rest := must(r.list(ctx, page(0, token)))
		current := must(r.list(ctx, storage.ListOptions{ResourceVersion: strconv.FormatInt(revision, 10), ResourceVersionMatch: metav1.ResourceVersionMatchExact}))
		return fmt.Sprintf("continue: %d %s; exact: expired=%v; with the token of the answer: %s; at the compacted revision itself: %d", status.Status().Code, status.Status().Reason, apierrors.IsResourceExpired(exact), names(rest), len(current.Items)), nil
	}},
	{"2,000 objects, streamed and in pages", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		filler := strings.Repeat("x", 2000)
		errs := make(chan error, 20)
		for lane := 0; lane < 20; lane++ {
			go func() {
				for i := lane; i < 2000; i += 20 {
					if _, err := r.create(ctx, pod(fmt.Sprintf("p%04d", i), func(p *example.Pod) { p.Annotations = map[string]string{"filler": filler} })); err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for lane := 0; lane < 20; lane++ {
			ensure(<-errs)
		}
		streamed := etcdfeature.DefaultFeatureSupportChecker.Supports(storage.RangeStream)
		all := must(r.list(ctx, storage.ListOptions{}))
		inOrder := true
		for i, item := range all.Items {
			inOrder = inOrder && item.Name == fmt.Sprintf("p%04d", i)
		}
		limited := must(r.list(ctx, page(777, "")))
		found := 0
		predicate := selecting("none=such")
		nothing := must(r.list(ctx, storage.ListOptions{Predicate: predicate}))
		found += len(nothing.Items)
		return fmt.Sprintf("%d in order=%v; a page of %d, %d remain; by a selector that fits none: %d; RangeStream before %v, after %v", len(all.Items), inOrder, len(limited.Items), *limited.RemainingItemCount, found,
			streamed, etcdfeature.DefaultFeatureSupportChecker.Supports(storage.RangeStream)), nil
	}},
	{"count and sizes", func(ctx context.Context, w *world) (string, error) {
		r := must(w.resource(nil))
		ensure(r.fill(ctx, 12))
		stats := must(r.Stats(ctx))
		keys := func(ctx context.Context) ([]string, error) {
			answer, err := w.client.Get(ctx, "/registry"+r.dir(), clientPrefixKeysOnly()...)
			if err != nil {
				return nil, err
			}
			var found []string
			for _, kv := range answer.Kvs {
				if len(kv.Value) > 0 {
					return nil, errors.New("keysOnly answered with values")
				}
				found = append(found, string(kv.Key))
			}
			return found, nil
		}
		ensure(r.EnableResourceSizeEstimation(keys))
		must(r.list(ctx, storage.ListOptions{}))
		estimated := must(r.Stats(ctx))
		return fmt.Sprintf("%d counted, %d by keys, an average size: %v", stats.ObjectCount, estimated.ObjectCount, estimated.EstimatedAverageObjectSizeBytes > 0), nil
	}},
}
