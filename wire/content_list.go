package wire

// maxListings bounds the pairs of a ContentList that are kept: 32 KiB of memory.
const maxListings = 1024

// maxListingsSeen bounds the entries of a ContentList that are looked at.
const maxListingsSeen = 2 * maxListings

// Listing is a content that a peer offers.
type Listing struct {
	ID   []byte // not empty; aliases the payload unless it had escapes
	Size int64  // bytes, >= 0
}

// ContentList is what a peer offers.
type ContentList struct{ Results []Listing }

func (ContentList) Name() string { return "ContentList" }

func (m ContentList) AppendPayload(dst []byte) []byte {
	dst = append(dst, `{"results":[`...)
	for i, l := range m.Results {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, "[", l.ID)
		dst = appendInt(dst, ",", l.Size)
		dst = append(dst, ']')
	}
	return append(dst, "]}"...)
}

// ParseContentList needs the array of results. Entries that are not a pair of id
// and size are skipped, and so are those beyond
// the first maxListings good ones or maxListingsSeen altogether.
func ParseContentList(payload []byte) (ContentList, error) {
	const name = "ContentList"
	var m ContentList
	found := false
	o := object{cursor: begin(payload)}
	for ok := true; o.next(ok); {
		if string(o.name) == "results" {
			found = true
			m.Results, ok = o.listings()
		} else {
			ok = o.pass()
		}
	}
	err := o.finish(name)
	if err == nil && !found {
		err = refuse(name, "results")
	}
	if err != nil {
		return ContentList{}, err
	}
	return m, nil
}

// listings reads an array of listings.
func (c *cursor) listings() (ls []Listing, ok bool) {
	ok = c.array(func(i int) bool {
		if len(ls) >= maxListings || i >= maxListingsSeen {
			return c.pass()
		}
		l, good, ok := c.listing()
		if good {
			if ls == nil { // a pair and the next are parted by two commas
				ls = make([]Listing, 0, c.room(2*maxListings)/2+1)
			}
			ls = append(ls, l)
		}
		return ok
	})
	return ls, ok
}

// listing reads [id,size], see pair.
func (c *cursor) listing() (l Listing, good, ok bool) {
	good, ok = c.pair(
		func() (ok bool) { l.ID, ok = c.text(); return ok && len(l.ID) > 0 },
		func() (ok bool) { l.Size, ok = c.integer(0); return ok },
	)
	return l, good, ok
}
