package netsim

import "math/rand/v2"

// GilbertElliott loses packets in bursts: a chain of two states that takes a step with each packet.
// The mean share lost is LossGood + (LossBad-LossGood)·GoodToBad/(GoodToBad+BadToGood).
type GilbertElliott struct {
	GoodToBad, BadToGood float64 // chance of a change at each packet; a stay in the bad state has 1/BadToGood packets
	LossGood, LossBad    float64 // chance of loss in each state
}

// Bursts is the chain that loses a share of all packets, all of a run, in runs of so many on the mean
// (Gilbert's model).
func Bursts(share, length float64) GilbertElliott {
	return GilbertElliott{GoodToBad: share / (1 - share) / length, BadToGood: 1 / length, LossBad: 1}
}

// chain is the state of one.
type chain struct{ bad bool }

func (c *chain) lose(g *GilbertElliott, rng *rand.Rand) bool {
	if c.bad {
		c.bad = !chance(rng, g.BadToGood)
	} else {
		c.bad = chance(rng, g.GoodToBad)
	}
	if c.bad {
		return chance(rng, g.LossBad)
	}
	return chance(rng, g.LossGood)
}

// lose says how many of the packets of a datagram are lost, and whether any was so in a burst.
func (p *pipe) lose(l *Link, packets int) (lost int, inBurst bool) {
	simple := GilbertElliott{LossGood: l.Loss}
	if l.Burst > 1 && l.Loss < 1 {
		simple = Bursts(l.Loss, l.Burst)
	}
	for range packets {
		// Both chains take their step, whatever the other says.
		a := l.Loss > 0 && p.simple.lose(&simple, p.rng)
		b := l.Bursty != GilbertElliott{} && p.bursty.lose(&l.Bursty, p.rng)
		if a || b {
			lost++
			inBurst = inBurst || a && p.simple.bad || b && p.bursty.bad
		}
	}
	return lost, inBurst
}
