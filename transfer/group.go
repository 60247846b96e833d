package transfer

import "time"

// group is a run of requests that were sent in one phase of the model, about a round
// trip's worth, and what became of them. As answers are known by the request that they
// answer, the path's rate shows in the time between the answer of an early request
// and that of a late one, whatever was lost between: what noise takes has had its
// time on the path. What finds a full queue has not, and is taken off.
type group struct {
	id        uint32
	phase     phase
	begun     time.Duration
	closed    bool // nothing is added any more
	limited   bool // the rate was held down by something else than the path
	sent      int
	got, lost int
	early     mark // of the answers in order of asking
	late      mark
	most      int           // bytes in flight at most
	queue     time.Duration // longest delay above the base
}

// mark is one answered request.
type mark struct {
	asked int64 // bytes asked for by then
	at    time.Duration
	sent  time.Duration
}

const (
	groupLeast = 8 // requests: fewer tell little of losses
	groupSpans = 4 // answers without which there is no rate
)

// answered notes the answer to one of the group's requests.
func (g *group) answered(at time.Duration, st stamp) {
	if st.late {
		g.lost = max(g.lost-1, 0)
	}
	g.got++
	if st.again {
		return
	}
	m := mark{asked: st.asked, at: at, sent: st.at}
	if g.early.asked == 0 || m.asked < g.early.asked {
		g.early = m
	}
	if m.asked > g.late.asked {
		g.late = m
	}
}

// whole says that the fate of all is known.
func (g *group) whole() bool { return g.closed && g.got+g.lost >= g.sent }

// rate is the path's rate that the group shows, in bytes a second, 0 if it shows none. It
// is not more than the rate of asking: what waited and came together shows none.
func (g *group) rate(n *noise) float64 {
	span := max(g.late.at-g.early.at, g.late.sent-g.early.sent)
	if g.got < groupSpans || span <= 0 {
		return 0
	}
	carried := n.carried(g.lost, g.got+g.lost)
	if g.phase == opening { // what is lost there has mostly found a full queue
		carried = float64(g.got) / float64(g.got+g.lost)
	}
	return float64(g.late.asked-g.early.asked) / span.Seconds() * carried
}
