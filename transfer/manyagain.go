package transfer

// again has items that some peers were asked for in vain, by whom that was: a bit each. Putting and taking cost the same however many
// there are. The zero value is empty.
type again struct {
	n  int
	by [1 << manyPeers][]int
}

func (a *again) put(item int, tried uint8) {
	a.by[tried] = append(a.by[tried], item)
	a.n++
}

// take takes one that the peer with this bit was not asked for, the one that has waited longest of those that the same peers were.
func (a *again) take(bit uint8) (item int, ok bool) {
	if a.n == 0 {
		return 0, false
	}
	for tried, items := range &a.by {
		if tried>>bit&1 == 0 && len(items) > 0 {
			a.by[tried] = items[1:]
			a.n--
			return items[0], true
		}
	}
	return 0, false
}

// all empties it.
func (a *again) all() (items []int) {
	for _, some := range &a.by {
		items = append(items, some...)
	}
	*a = again{}
	return items
}
