// go-facts reads facts that no schema carries from the Go API types by reflection: the order of the fields, which are pointers,
// which are left out of JSON when empty, and the Go type names that appear in decoding errors. It prints JSON; see tools/generate.ts.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"sort"
	"strings"

	admission "k8s.io/api/admission/v1"
	apidiscovery "k8s.io/api/apidiscovery/v2"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type field struct {
	Name    string `json:"name"`
	Proto   string `json:"proto,omitempty"`
	Pointer bool   `json:"pointer,omitempty"`
	Omit    bool   `json:"omit,omitempty"`
	Zero    bool   `json:"zero,omitempty"`
	Inline  bool   `json:"inline,omitempty"`
	Go      string `json:"go"`
	Field   string `json:"field"`
}

var out = map[string][]field{}

func walk(t reflect.Type) {
	for t.Kind() == reflect.Ptr || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || !strings.Contains(t.PkgPath(), "k8s.io/") {
		return
	}
	key := strings.NewReplacer("/", ".", "-", "_").Replace(t.PkgPath()) + "." + t.Name()
	if _, seen := out[key]; seen {
		return
	}
	out[key] = []field{}
	fields := []field{}
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		if f.PkgPath != "" {
			continue
		}
		tag := strings.Split(f.Tag.Get("json"), ",")
		if tag[0] == "-" {
			continue
		}
		one := field{Name: tag[0], Field: f.Name, Pointer: f.Type.Kind() == reflect.Ptr, Go: f.Type.String()}
		for _, o := range tag[1:] {
			one.Omit = one.Omit || o == "omitempty"
			one.Zero = one.Zero || o == "omitzero"
			one.Inline = one.Inline || o == "inline"
		}
		if one.Name == "" {
			one.Inline = true
		}
		for _, p := range strings.Split(f.Tag.Get("protobuf"), ",") {
			if strings.HasPrefix(p, "name=") {
				one.Proto = p[5:]
			}
		}
		fields = append(fields, one)
		walk(f.Type)
	}
	out[key] = fields
}

func main() {
	for gvk, t := range scheme.Scheme.AllKnownTypes() {
		_ = gvk
		walk(t)
	}
	for _, v := range []any{admission.AdmissionReview{}, apidiscovery.APIGroupDiscoveryList{}, apiextensions.CustomResourceDefinitionList{}, apiextensions.ConversionReview{},
		apiregistration.APIServiceList{}, metav1.Table{}, metav1.PartialObjectMetadataList{}, metav1.Status{}, metav1.APIGroupList{}, metav1.APIResourceList{}, metav1.APIVersions{},
		metav1.WatchEvent{}, metav1.DeleteOptions{}, metav1.LabelSelector{}, metav1.FieldsV1{}} {
		walk(reflect.TypeOf(v))
	}
	keys := []string{}
	for k := range out {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	os.Stdout.WriteString("{\n")
	for i, k := range keys {
		b, _ := json.Marshal(out[k])
		os.Stdout.WriteString("\"" + k + "\": ")
		os.Stdout.Write(b)
		if i < len(keys)-1 {
			os.Stdout.WriteString(",")
		}
		os.Stdout.WriteString("\n")
	}
	os.Stdout.WriteString("}\n")
}
