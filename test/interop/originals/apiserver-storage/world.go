package main

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
}

// The etcd under test, and a plain client of it beside the library.
type world struct {
	endpoints         []string
	cacert, cert, key string
	client            *clientv3.Client
	count             int
	destroy           []func()
}

func newWorld(endpoints []string, cacert, cert, key string) (*world, error) {
	w := &world{endpoints: endpoints, cacert: cacert, cert: cert, key: key}
	client, err := w.connect()
	if err != nil {
		return nil, err
	}
	w.client = client.Client
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := w.client.Get(ctx, "/registry/health"); err != nil {
		return nil, err
	}
	return w, nil
}

// A client as the API server opens them, one per kind.
func (w *world) connect() (*kubernetes.Client, error) {
	config := clientv3.Config{Endpoints: w.endpoints, DialTimeout: 20 * time.Second, DialKeepAliveTime: 30 * time.Second, DialKeepAliveTimeout: 10 * time.Second}
	if w.cacert != "" {
		info := transport.TLSInfo{CertFile: w.cert, KeyFile: w.key, TrustedCAFile: w.cacert}
		tls, err := info.ClientConfig()
		if err != nil {
			return nil, err
		}
		config.TLS = tls
	}
	return kubernetes.New(config)
}

func (w *world) config(change func(*storagebackend.Config)) storagebackend.Config {
	config := storagebackend.NewDefaultConfig("/registry", codecs.LegacyCodec(examplev1.SchemeGroupVersion))
	config.Transport.ServerList = w.endpoints
	config.Transport.TrustedCAFile, config.Transport.CertFile, config.Transport.KeyFile = w.cacert, w.cert, w.key
	config.CompactionInterval = 0
	if change != nil {
		change(config)
	}
	return *config
}

// A storage of a resource that no other check uses, made as the API server makes it.
type resource struct {
	storage.Interface
	prefix string
	gr     schema.GroupResource
	codec  runtime.Codec
}

func newPod() runtime.Object  { return &example.Pod{} }
func newList() runtime.Object { return &example.PodList{} }

func (w *world) resource(change func(*storagebackend.Config)) (*resource, error) {
	w.count++
	name := fmt.Sprintf("pods%02d", w.count)
	gr := schema.GroupResource{Group: "example.apiserver.k8s.io", Resource: name}
	config := w.config(change)
	made, destroy, err := factory.Create(*config.ForResource(gr), newPod, newList, "/"+name)
	if err != nil {
		return nil, err
	}
	w.destroy = append(w.destroy, destroy)
	return &resource{Interface: made, prefix: "/" + name, gr: gr, codec: config.Codec}, nil
}

func (w *world) close() {
	for _, destroy := range w.destroy {
		destroy()
	}
	_ = w.client.Close()
}

func pod(name string, change ...func(*example.Pod)) *example.Pod {
	made := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "uid-1"}}
	for _, one := range change {
		one(made)
	}
	return made
}

func labelled(key, value string) func(*example.Pod) {
	return func(p *example.Pod) { p.Labels = map[string]string{key: value} }
}

func (r *resource) key(name string) string { return r.prefix + "/ns/" + name }
func (r *resource) dir() string            { return r.prefix + "/" }

func (r *resource) create(ctx context.Context, p *example.Pod) (*example.Pod, error) {
	out := &example.Pod{}
	err := r.Create(ctx, r.key(p.Name), p, out, 0)
	return out, err
}

// Sets an annotation, through the library's loop of read, compare and write.
func (r *resource) annotate(ctx context.Context, name, value string) (*example.Pod, error) {
	out := &example.Pod{}
	err := r.GuaranteedUpdate(ctx, r.key(name), out, false, nil, storage.SimpleUpdate(func(in runtime.Object) (runtime.Object, error) {
		p := in.(*example.Pod)
		if p.Annotations == nil {
			p.Annotations = map[string]string{}
		}
		p.Annotations["value"] = value
		return p, nil
	}), nil)
	return out, err
}

func (r *resource) delete(ctx context.Context, name string) (*example.Pod, error) {
	out := &example.Pod{}
	err := r.Delete(ctx, r.key(name), out, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
	return out, err
}

func everything() storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: labels.Everything(), Field: fields.Everything(), GetAttrs: attributes}
}

func selecting(selector string) storage.SelectionPredicate {
	parsed, err := labels.Parse(selector)
	utilruntime.Must(err)
	return storage.SelectionPredicate{Label: parsed, Field: fields.Everything(), GetAttrs: attributes}
}

func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	p, ok := obj.(*example.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("not a pod: %T", obj)
	}
	return labels.Set(p.Labels), fields.Set{"metadata.name": p.Name}, nil
}

func (r *resource) list(ctx context.Context, options storage.ListOptions) (*example.PodList, error) {
	options.Recursive = true
	if options.Predicate.GetAttrs == nil {
		limit, next := options.Predicate.Limit, options.Predicate.Continue
		options.Predicate = everything()
		options.Predicate.Limit, options.Predicate.Continue = limit, next
	}
	out := &example.PodList{}
	err := r.GetList(ctx, r.dir(), options, out)
	return out, err
}

func (r *resource) revision(ctx context.Context) (int64, error) {
	revision, err := r.GetCurrentResourceVersion(ctx)
	return int64(revision), err
}

// The next event, or an error after some time.
func next(w watch.Interface) (watch.Event, error) {
	select {
	case event, ok := <-w.ResultChan():
		if !ok {
			return event, fmt.Errorf("the watch ended")
		}
		return event, nil
	case <-time.After(10 * time.Second):
		return watch.Event{}, fmt.Errorf("no event in 10 s")
	}
}

// The next event that is no bookmark, as text: type, name and the value that annotate() wrote.
func nextText(w watch.Interface) (string, error) {
	for {
		event := must(next(w))
		if event.Type == watch.Bookmark {
			continue
		}
		return text(event), nil
	}
}

func text(event watch.Event) string {
	// The watch cache hands out objects that are serialised once for all.
	if shared, ok := event.Object.(interface{ GetObject() runtime.Object }); ok {
		event.Object = shared.GetObject()
	}
	switch object := event.Object.(type) {
	case *example.Pod:
		if value, ok := object.Annotations["value"]; ok {
			return fmt.Sprintf("%s %s=%s", event.Type, object.Name, value)
		}
		return fmt.Sprintf("%s %s", event.Type, object.Name)
	case *metav1.Status:
		return fmt.Sprintf("%s %d %s", event.Type, object.Code, object.Reason)
	}
	return fmt.Sprintf("%s %T", event.Type, event.Object)
}

func texts(w watch.Interface, count int) (string, error) {
	var all string
	for i := 0; i < count; i++ {
		one, err := nextText(w)
		if err != nil {
			return all, fmt.Errorf("after [%s]: %w", all, err)
		}
		if all != "" {
			all += ", "
		}
		all += one
	}
	return all, nil
}

func names(list *example.PodList) string {
	var all string
	for i, item := range list.Items {
		if i > 0 {
			all += " "
		}
		all += item.Name
	}
	return all
}
