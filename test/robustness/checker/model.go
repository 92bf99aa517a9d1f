package main

import (
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// keyValue is a living key. Values are what identifies them; leases are decimal ids, "0" for none.
type keyValue struct {
	Key            string `json:"key"`
	Value          string `json:"value"`
	ModRevision    int64  `json:"modRevision"`
	CreateRevision int64  `json:"createRevision"`
	Version        int64  `json:"version"`
	Lease          string `json:"lease"`
}

type step struct {
	Type  string `json:"type"`
	Key   string `json:"key"`
	End   string `json:"end"`
	Limit int    `json:"limit"`
	Value string `json:"value"`
	Lease string `json:"lease"`
}

type stepResult struct {
	Type    string     `json:"type"`
	Deleted int64      `json:"deleted"`
	Kvs     []keyValue `json:"kvs"`
	Count   int64      `json:"count"`
}

type call struct {
	step
	Guards []struct {
		Key         string `json:"key"`
		ModRevision int64  `json:"modRevision"`
	} `json:"guards"`
	Success []step `json:"success"`
	Failure []step `json:"failure"`
}

// output has zero values where an answer is not known or doesn't tell: the model then accepts anything.
type output struct {
	Revision  int64        `json:"revision"`
	Succeeded *bool        `json:"succeeded"`
	Results   []stepResult `json:"results"`
}

// state is immutable: every change makes a new one.
type state struct {
	revision int64
	kvs      map[string]keyValue
	leases   map[string]bool
	// hash of the keys and leases: order does not matter to it.
	hash uint64
}

var seed = maphash.MakeSeed()

func hashOf(kv keyValue) uint64       { return maphash.Comparable(seed, kv) }
func hashOfLease(lease string) uint64 { return maphash.String(seed, lease) }

func newState(revision int64, kvs []keyValue, leases []string) *state {
	s := &state{revision: revision, kvs: map[string]keyValue{}, leases: map[string]bool{}}
	for _, kv := range kvs {
		s.put(kv)
	}
	for _, lease := range leases {
		s.leases[lease] = true
		s.hash ^= hashOfLease(lease)
	}
	return s
}

func (s *state) copy() *state {
	return &state{revision: s.revision, kvs: maps.Clone(s.kvs), leases: maps.Clone(s.leases), hash: s.hash}
}

func (s *state) put(kv keyValue) {
	s.remove(kv.Key)
	s.kvs[kv.Key] = kv
	s.hash ^= hashOf(kv)
}

func (s *state) remove(key string) bool {
	old, ok := s.kvs[key]
	if ok {
		s.hash ^= hashOf(old)
		delete(s.kvs, key)
	}
	return ok
}

func (s *state) get(key, end string, limit int) ([]keyValue, int64) {
	found := []keyValue{}
	if end == "" {
		if kv, ok := s.kvs[key]; ok {
			found = append(found, kv)
		}
		return found, int64(len(found))
	}
	for name, kv := range s.kvs {
		if name >= key && name < end {
			found = append(found, kv)
		}
	}
	slices.SortFunc(found, func(a, b keyValue) int { return strings.Compare(a.Key, b.Key) })
	count := int64(len(found))
	if limit > 0 && limit < len(found) {
		found = found[:limit]
	}
	return found, count
}

// apply tells whether the store could have answered so, and what it is afterwards.
func apply(s *state, c *call, o *output) (bool, *state) {
	switch c.Type {
	case "range":
		if o.Revision != 0 && o.Revision != s.revision {
			return false, s
		}
		kvs, count := s.get(c.Key, c.End, c.Limit)
		return sameGet(o.Results, 0, kvs, count), s
	case "txn":
		return applyTxn(s, c, o)
	case "grant":
		next := s.copy()
		if !next.leases[c.Lease] {
			next.leases[c.Lease] = true
			next.hash ^= hashOfLease(c.Lease)
		}
		return true, next
	case "revoke", "expire":
		if !s.leases[c.Lease] {
			return false, s
		}
		next := s.copy()
		delete(next.leases, c.Lease)
		next.hash ^= hashOfLease(c.Lease)
		for key, kv := range s.kvs {
			if kv.Lease == c.Lease {
				next.remove(key)
				next.revision = s.revision + 1
			}
		}
		return o.Revision == 0 || (o.Revision == next.revision && next.revision > s.revision), next
	}
	return false, s
}

func applyTxn(s *state, c *call, o *output) (bool, *state) {
	if o.Revision != 0 && o.Revision != s.revision && o.Revision != s.revision+1 {
		return false, s
	}
	holds := true
	for _, guard := range c.Guards {
		// An absent key has revision 0.
		holds = holds && s.kvs[guard.Key].ModRevision == guard.ModRevision
	}
	if o.Succeeded != nil && *o.Succeeded != holds {
		return false, s
	}
	steps := c.Success
	if !holds {
		steps = c.Failure
	}
	if o.Results != nil && len(o.Results) != len(steps) {
		return false, s
	}
	next, changed := s, false
	change := func() {
		if !changed {
			next = s.copy()
			next.revision++
			changed = true
		}
	}
	for at, st := range steps {
		switch st.Type {
		case "put":
			if st.Lease != "0" && !s.leases[st.Lease] {
				return false, s
			}
			change()
			old, exists := next.kvs[st.Key]
			kv := keyValue{Key: st.Key, Value: st.Value, ModRevision: next.revision, CreateRevision: next.revision, Version: 1, Lease: st.Lease}
			if exists {
				kv.CreateRevision, kv.Version = old.CreateRevision, old.Version+1
			}
			next.put(kv)
		case "delete":
			deleted := int64(0)
			if _, exists := next.kvs[st.Key]; exists {
				change()
				next.remove(st.Key)
				deleted = 1
			}
			if o.Results != nil && o.Results[at].Deleted != deleted {
				return false, s
			}
		case "get":
			kvs, count := next.get(st.Key, st.End, st.Limit)
			if !sameGet(o.Results, at, kvs, count) {
				return false, s
			}
		}
	}
	return o.Revision == 0 || o.Revision == next.revision, next
}

func sameGet(results []stepResult, at int, kvs []keyValue, count int64) bool {
	if results == nil {
		return true
	}
	if at >= len(results) || len(results[at].Kvs) != len(kvs) || results[at].Count != count {
		return false
	}
	return slices.Equal(results[at].Kvs, kvs)
}

func modelFrom(start *state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return start },
		Step: func(s, in, out any) (bool, any) { return apply(s.(*state), in.(*call), out.(*output)) },
		Equal: func(a, b any) bool {
			x, y := a.(*state), b.(*state)
			return x == y || (x.revision == y.revision && x.hash == y.hash && maps.Equal(x.kvs, y.kvs) && maps.Equal(x.leases, y.leases))
		},
		Hash: func(s any) uint64 { return s.(*state).hash ^ uint64(s.(*state).revision) },
	}
}
