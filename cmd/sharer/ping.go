package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"sharer/identity"
	"sharer/node"
)

// pingOptions are the flags of ping.
type pingOptions struct {
	*options
	count    int
	interval time.Duration
	wait     time.Duration
}

func newPing() *command {
	c := newCommand("ping", "[KEY|HOST:PORT...]", "ask peers whether they are there")
	c.long = `Send a small message to a peer, found by key or by address, at an interval, and print how long each
answer took, until Ctrl-C or -c. Any LCDP node answers. Without an argument the best few peers are asked. The
exit code is 0 if one answer came, else 1.`
	c.examples = "sharer ping\nsharer ping 0xe13a...\nsharer ping -c 3 -i 200ms 127.0.0.1:24254"
	o := &pingOptions{options: c.options}
	f := c.flags
	f.IntVarP(&o.count, "count", "c", 0, "stop after `N` pings (default: at Ctrl-C)")
	f.DurationVarP(&o.interval, "interval", "i", time.Second, "`TIME` between pings, at least 10ms")
	f.DurationVarP(&o.wait, "timeout", "W", 2*time.Second, "`TIME` to wait for each answer")
	c.outputFlags()
	c.nodeFlags()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runPing(ctx, o, args, s) }
	return c
}

// leastInterval keeps a slip of the finger from flooding a stranger.
const leastInterval = 10 * time.Millisecond

// runPing pings all targets side by side and sums up.
func runPing(ctx context.Context, o *pingOptions, args []string, s *stdio) error {
	switch {
	case o.count < 0:
		return usagef("--count %d: want 1 or more", o.count)
	case o.interval < leastInterval:
		return usagef("--interval %s: want at least %s", o.interval, leastInterval)
	case o.wait <= 0:
		return usagef("--timeout %s: want more than 0", o.wait)
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	var to []recipient
	for _, a := range args {
		r, err := parseRecipient(ctx, scr, a)
		if err != nil {
			return err
		}
		to = append(to, r)
	}
	p, err := openPeer(ctx, o.options, scr, false, false)
	if err != nil {
		return err
	}
	defer p.Close()
	targets, err := o.targets(ctx, p, to)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for _, t := range targets {
		if t.key != "" {
			scr.note("PING 0x%s, which is at %s", t.key, t.addr)
		} else {
			scr.note("PING %s", t.addr)
		}
		wg.Go(func() { t.run(ctx, o, p, scr) })
	}
	wg.Wait()

	answered := 0
	results := make([]pingResults, 0, len(targets))
	for _, t := range targets {
		answered += t.answered
		results = append(results, t.results())
		if !o.json {
			scr.result(t.summary())
		}
	}
	if answered == 0 {
		return &codedError{exitFailed, node.ErrNoAnswer}
	}
	if o.json {
		scr.event(pingSummary{V: 1, Type: "summary", Targets: results, Code: exitDone.String()})
	}
	return nil
}

const (
	pingFind = 20 * time.Second // for where a key lives
	pingBest = 3                // peers that are asked if none is named
	pingMeet = 5 * time.Second  // until there is one
)

// targets are the addresses of whom was named, or the best peers.
func (o *pingOptions) targets(ctx context.Context, p person, to []recipient) (targets []*pingTarget, err error) {
	for _, r := range to {
		t := &pingTarget{addr: r.addr}
		if r.key != (identity.PublicKey{}) {
			waiting, cancel := context.WithTimeout(ctx, max(pingFind, o.wait))
			place, err := p.Find(waiting, r.key)
			cancel()
			switch {
			case err != nil && ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(err, node.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
				return nil, &codedError{exitFailed, fmt.Errorf("nobody who was asked knows where %s is", r)}
			case err != nil:
				return nil, err
			}
			t.addr, t.key = place.Addr, r.key.String()
		}
		targets = append(targets, t)
	}
	if len(to) > 0 {
		return targets, nil
	}
	waiting, cancel := context.WithTimeout(ctx, pingMeet)
	defer cancel()
	for _, a := range p.Nearest(waiting, pingBest) {
		targets = append(targets, &pingTarget{addr: a})
	}
	if len(targets) == 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &codedError{exitFailed, errors.New("no peer is known. Name one: sharer ping HOST:PORT, or --peer HOST:PORT")}
	}
	return targets, nil
}

// pingTarget is one peer and what is known of its answers.
type pingTarget struct {
	addr netip.AddrPort
	key  string // that it was found by

	mu             sync.Mutex
	sent, answered int
	min, max, sum  time.Duration
	took           time.Duration
}

// run sends a ping each interval, without waiting for the answer to the one before.
func (t *pingTarget) run(ctx context.Context, o *pingOptions, p pinger, scr *screen) {
	begun := time.Now()
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	var wg sync.WaitGroup
	for seq := 1; ; seq++ {
		wg.Go(func() { t.one(ctx, o, p, scr, seq) })
		if seq == o.count || scr.broken() {
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
			continue
		}
		break
	}
	wg.Wait()
	t.took = time.Since(begun)
}

func (t *pingTarget) one(ctx context.Context, o *pingOptions, p pinger, scr *screen, seq int) {
	waiting, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	pong, err := p.Ping(waiting, t.addr)
	if err != nil && ctx.Err() != nil {
		return // neither lost nor answered: the person has stopped waiting
	}
	t.mu.Lock()
	t.sent++
	if err == nil {
		t.answered++
		t.sum += pong.RTT
		t.max = max(t.max, pong.RTT)
		if t.answered == 1 || pong.RTT < t.min {
			t.min = pong.RTT
		}
	}
	t.mu.Unlock()
	rtt, key, by := milliseconds(pong.RTT), "", ""
	if pong.Key != (identity.PublicKey{}) {
		key, by = pong.Key.String(), " "+shortKey(pong.Key)
	}
	switch {
	case o.json && err == nil:
		scr.event(pongEvent{V: 1, Type: "pong", From: pong.From.String(), Seq: seq, Bytes: pong.Bytes, RTT: &rtt, Key: key})
	case o.json:
		scr.event(pongEvent{V: 1, Type: "lost", From: t.addr.String(), Seq: seq})
	case err == nil:
		scr.result(fmt.Sprintf("%d B from %s%s time=%.2f ms", pong.Bytes, pong.From, by, rtt))
	case errors.Is(err, node.ErrNoAnswer) || waiting.Err() != nil:
		scr.note("no answer from %s within %s", t.addr, o.wait)
	default:
		scr.note("%s: %s", t.addr, escape(err.Error()))
	}
}

// results are the statistics for JSON; summary words the same ones.
func (t *pingTarget) results() pingResults {
	r := pingResults{Address: t.addr.String(), Sent: t.sent, Answered: t.answered}
	if t.sent > 0 {
		r.Loss = 100 * float64(t.sent-t.answered) / float64(t.sent)
	}
	if t.answered > 0 {
		least, mean, most := milliseconds(t.min), milliseconds(t.sum/time.Duration(t.answered)), milliseconds(t.max)
		r.Min, r.Avg, r.Max = &least, &mean, &most
	}
	return r
}

func (t *pingTarget) summary() string {
	r := t.results()
	text := fmt.Sprintf("--- %s ---\n%d sent, %d answered, %.4g%% loss, time %d ms", r.Address, r.Sent, r.Answered, r.Loss, t.took.Milliseconds())
	if r.Min != nil {
		text += fmt.Sprintf("\nrtt min/avg/max = %.2f/%.2f/%.2f ms", *r.Min, *r.Avg, *r.Max)
	}
	return text
}
