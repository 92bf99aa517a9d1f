package main

import (
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// narrow makes the intervals of operations smaller without changing which histories are linearizable.
//
// The model takes an operation whose answer tells a revision only at that revision, and revisions never go back. So of two such operations
// the one with the smaller revision comes first in every order that works (and at the same revision the change that made it, before what only
// read it); it cannot happen after the other has returned, nor the other before it was called. Without this the search tries most of the
// orders that concurrent readers and writers could have, and takes minutes.
func narrow(history []porcupine.Operation) {
	var placed []int
	places := make([]int64, len(history))
	for at := range history {
		places[at] = placeOf(history[at])
		if places[at] > 0 {
			placed = append(placed, at)
		}
	}
	slices.SortStableFunc(placed, func(a, b int) int { return compare(places[a], places[b]) })
	latestCall := int64(math.MinInt64)
	forGroups(placed, places, func(group []int) {
		before := latestCall
		for _, at := range group {
			latestCall = max(latestCall, history[at].Call)
			history[at].Call = max(history[at].Call, before)
		}
	})
	slices.Reverse(placed)
	earliestReturn := int64(math.MaxInt64)
	forGroups(placed, places, func(group []int) {
		after := earliestReturn
		for _, at := range group {
			earliestReturn = min(earliestReturn, history[at].Return)
			history[at].Return = min(history[at].Return, after)
		}
	})
	rank(history, places)
}

// placeOf gives 0 for operations whose answers tell no revision.
func placeOf(op porcupine.Operation) int64 {
	c, o := op.Input.(*call), op.Output.(*output)
	if o.Revision == 0 {
		return 0
	}
	changes := c.Type == "revoke" || c.Type == "expire"
	if c.Type == "txn" {
		// Without results it is known only because a change of its was found.
		changes = o.Results == nil
		steps := c.Success
		if o.Succeeded != nil && !*o.Succeeded {
			steps = c.Failure
		}
		for at, st := range steps {
			changes = changes || st.Type == "put" || (st.Type == "delete" && at < len(o.Results) && o.Results[at].Deleted > 0)
		}
	}
	if changes {
		return 2 * o.Revision
	}
	return 2*o.Revision + 1
}

// forGroups calls visit with each run of the same place.
func forGroups(order []int, places []int64, visit func([]int)) {
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && places[order[to]] == places[order[from]] {
			to++
		}
		visit(order[from:to])
		from = to
	}
}

// rank replaces times by their order. Of calls at one time the smaller place comes first, so that the search tries it first; returns come
// after the calls of their time, for intervals are closed.
func rank(history []porcupine.Operation, places []int64) {
	type moment struct {
		time, place int64
		at          int
		returns     bool
	}
	moments := make([]moment, 0, 2*len(history))
	for at, op := range history {
		moments = append(moments, moment{op.Call, places[at], at, false}, moment{op.Return, 0, at, true})
	}
	slices.SortStableFunc(moments, func(a, b moment) int {
		switch {
		case a.time != b.time:
			return compare(a.time, b.time)
		case a.returns != b.returns:
			if a.returns {
				return 1
			}
			return -1
		}
		return compare(a.place, b.place)
	})
	for order, m := range moments {
		if m.returns {
			history[m.at].Return = int64(order)
		} else {
			history[m.at].Call = int64(order)
		}
	}
}

func compare(a, b int64) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// impossible finds an operation that would have to return before it is called.
func impossible(history []porcupine.Operation) int {
	for at, op := range history {
		if op.Return < op.Call {
			return at
		}
	}
	return -1
}
