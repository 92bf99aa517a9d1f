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
		r, err := w.resource(nil)
		if err != nil {
			return "", err
		}
		if err := r.fill(ctx, 25); err != nil {
			return "", err
		}
		var lines []string
		var revision string
		token := ""
		for {
			list, err := r.list(ctx, page(10, token))
			if err != nil {
				return "", err
			}
			remaining := "none"
			if list.RemainingItemCount != nil {
				remaining = strconv.FormatInt(*list.RemainingItemCount, 10)
			}
			if revision == "" {
				revision = list.ResourceVersion
				// What happens between the pages is not in them.
				if _, err := r.create(ctx, pod("p0015a")); err != nil {
					return "", err
				}
				if _, err := r.delete(ctx, "p0020"); err != nil {
					return "", err
				}
			}
			lines = append(lines, fmt.Sprintf("%d from %s, %s remain, same revision %v", len(list.Items), list.Items[0].Name, remaining, list.ResourceVersion == revision))
			if token = list.Continue; token == "" {
				break
			}
		}
		exact, err := r.list(ctx, storage.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		if err != nil {
			return "", err
		}
		now, err := r.list(ctx, storage.ListOptions{ResourceVersion: revision, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
		if err != nil {
			return "", err
		}
		_, future := r.list(ctx, storage.ListOptions{ResourceVersion: "1000000000", ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		_, notYet := r.list(ctx, storage.ListOptions{ResourceVersion: "1000000000", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
		return fmt.Sprintf("%s; then %d at the first revision, %d now; future: tooLarge=%v %v", strings.Join(lines, "; "), len(exact.Items), len(now.Items), storage.IsTooLargeResourceVersion(future), storage.IsTooLargeResourceVersion(notYet)), nil
	}},
	{"list with a selector in pages", func(ctx context.Context, w *world) (string, error) {
		r, err := w.resource(nil)
		if err != nil {
			return "", err
		}
		if err := r.fill(ctx, 40, func(i int, p *example.Pod) { p.Labels = map[string]string{"third": strconv.FormatBool(i%3 == 0)} }); err != nil {
			return "", err
		}
		var lines []string
		token := ""
		for {
			predicate := selecting("third=true")
			predicate.Limit, predicate.Continue = 5, token
			list, err := r.list(ctx, storage.ListOptions{Predicate: predicate})
			if err != nil {
				return "", err
			}
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
		r, err := w.resource(nil)
		if err != nil {
			return "", err
		}
		if err := r.fill(ctx, 9); err != nil {
			return "", err
		}
		first, err := r.list(ctx, page(4, ""))
		if err != nil {
			return "", err
		}
		if _, err := r.delete(ctx, "p0005"); err != nil {
			return "", err
		}
		revision, err := r.revision(ctx)
		if err != nil {
			return "", err
		}
		if _, err := w.client.Compact(ctx, revision); err != nil {
			return "", err
		}
		_, tooOld := r.list(ctx, page(4, first.Continue))
		_, exact := r.list(ctx, storage.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		var status apierrors.APIStatus
		if !errors.As(tooOld, &status) {
			return "", fmt.Errorf("no status: %w", tooOld)
		}
		token := status.Status().ListMeta.Continue
		rest, err := r.list(ctx, page(0, token))
		if err != nil {
			return "", err
		}
		current, err := r.list(ctx, storage.ListOptions{ResourceVersion: strconv.FormatInt(revision, 10), ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("continue: %d %s; exact: expired=%v; with the token of the answer: %s; at the compacted revision itself: %d", status.Status().Code, status.Status().Reason, apierrors.IsResourceExpired(exact), names(rest), len(current.Items)), nil
	}},
	{"2,000 objects, streamed and in pages", func(ctx context.Context, w *world) (string, error) {
		r, err := w.resource(nil)
		if err != nil {
			return "", err
		}
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
			if err := <-errs; err != nil {
				return "", err
			}
		}
		streamed := etcdfeature.DefaultFeatureSupportChecker.Supports(storage.RangeStream)
		all, err := r.list(ctx, storage.ListOptions{})
		if err != nil {
			return "", err
		}
		inOrder := true
		for i, item := range all.Items {
			inOrder = inOrder && item.Name == fmt.Sprintf("p%04d", i)
		}
		limited, err := r.list(ctx, page(777, ""))
		if err != nil {
			return "", err
		}
		found := 0
		predicate := selecting("none=such")
		nothing, err := r.list(ctx, storage.ListOptions{Predicate: predicate})
		if err != nil {
			return "", err
		}
		found += len(nothing.Items)
		return fmt.Sprintf("%d in order=%v; a page of %d, %d remain; by a selector that fits none: %d; RangeStream before %v, after %v", len(all.Items), inOrder, len(limited.Items), *limited.RemainingItemCount, found,
			streamed, etcdfeature.DefaultFeatureSupportChecker.Supports(storage.RangeStream)), nil
	}},
	{"count and sizes", func(ctx context.Context, w *world) (string, error) {
		r, err := w.resource(nil)
		if err != nil {
			return "", err
		}
		if err := r.fill(ctx, 12); err != nil {
			return "", err
		}
		stats, err := r.Stats(ctx)
		if err != nil {
			return "", err
		}
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
		if err := r.EnableResourceSizeEstimation(keys); err != nil {
			return "", err
		}
		if _, err := r.list(ctx, storage.ListOptions{}); err != nil {
			return "", err
		}
		estimated, err := r.Stats(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d counted, %d by keys, an average size: %v", stats.ObjectCount, estimated.ObjectCount, estimated.EstimatedAverageObjectSizeBytes > 0), nil
	}},
}
