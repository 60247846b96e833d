package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"sharer/wire"
)

const (
	maxMessage   = 256 << 10        // bytes of what a page says at once (reliability.md W10)
	saidRate     = 200              // messages a second, and as many at once
	controlRate  = 10               // pings and pongs of a page a second, 50 at once
	pingEvery    = 30 * time.Second // ours, so that a page that is gone is noticed; one that answers may be silent for ever
	pongWithin   = 10 * time.Second
	wholeWithin  = 10 * time.Second // from the first frame of a message to its last
	writeWithin  = 30 * time.Second // until a text is in the kernel's buffer
	controlBurst = 50
	lookEvery    = time.Second // whether a page may still be here
)

// Visitor is who opens a page's connection.
type Visitor struct {
	Origin string      // whose budget the page uses
	Stays  func() bool // it may still be here; nil: always. A permission can be taken back
}

// page is one WebSocket connection.
type page struct {
	*guest
	b      *Bridge
	conn   *websocket.Conn
	pace   *rate.Limiter // of what it says
	stray  *rate.Limiter // of its pings and pongs
	cancel context.CancelFunc
}

// ServePage makes a connection of a request and serves it until either end closes it, or the visitor may not stay.
// Whoever calls this has decided that the request may have the connection: nothing of that is checked here.
func (b *Bridge) ServePage(w http.ResponseWriter, r *http.Request, v Visitor) {
	purse, err := b.admit(v.Origin)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer b.dismiss(purse)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	p := &page{guest: newGuest(remote(r), purse, newOutbox()), b: b, cancel: cancel,
		pace: rate.NewLimiter(saidRate, saidRate), stray: rate.NewLimiter(controlRate, controlBurst)}
	p.slow = sync.OnceFunc(p.tooSlow)
	p.conn, err = websocket.Accept(throttled{w}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the caller has checked Host, Origin and permission
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     func(context.Context, []byte) bool { return p.control() },
		OnPongReceived:     func(context.Context, []byte) { p.control() },
	})
	if err != nil {
		return // it was answered
	}
	defer p.conn.CloseNow()
	p.conn.SetReadLimit(maxMessage)
	p.out.put(letter{to: p.guest, text: wire.AppendArray(nil, wire.YourEd25519{Ed25519: b.c.Key})}, maxQueued)
	b.join(p.guest)
	defer b.leave(p.guest)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { p.write(ctx) })
	wg.Go(func() { p.ping(ctx) })
	if v.Stays != nil {
		wg.Go(func() { p.stay(ctx, v.Stays) })
	}
	p.read(ctx)
}

// admit counts a page of an origin, if there is room for it.
func (b *Bridge) admit(origin string) (*purse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil, ErrClosed
	}
	p, err := b.purseLocked(origin, time.Now())
	if err != nil {
		return nil, err
	}
	if b.pages >= maxPages || p.guests >= maxOfOrigin {
		return nil, ErrFull
	}
	b.pages++
	p.guests++
	b.wg.Add(1)
	return p, nil
}

func (b *Bridge) dismiss(p *purse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages--
	p.guests--
	p.used = time.Now()
	b.wg.Done()
}

// remote is where a page speaks from, as an address of loopback that is valid in any case.
func remote(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || a.Port() == 0 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1)
	}
	return clean(a)
}

// tooSlow ends the page: a megabyte waits for it.
func (p *page) tooSlow() {
	p.b.counts.slow.Add(1)
	p.cancel()
}

// control counts a ping or pong and ends a page that floods. Each costs as much as a short message, and no message
// is between them.
func (p *page) control() bool {
	if p.stray.Allow() {
		return true
	}
	p.cancel()
	return false
}

// read takes what the page says until the connection ends.
func (p *page) read(ctx context.Context) {
	for {
		text, err := p.message(ctx)
		if err != nil {
			return
		}
		if answer := p.b.said(p.guest, text); answer != nil && !p.out.put(letter{to: p.guest, text: answer}, maxQueued) {
			p.slow()
			return
		}
		if err := p.pace.Wait(ctx); err != nil {
			return
		}
	}
}

// message reads one whole message.
func (p *page) message(ctx context.Context) ([]byte, error) {
	_, r, err := p.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(wholeWithin, p.cancel)
	defer late.Stop()
	return io.ReadAll(r)
}

// write sends what is queued.
func (p *page) write(ctx context.Context) {
	defer p.cancel()
	for {
		l, ok := p.out.next()
		if !ok {
			select {
			case <-p.out.ready:
				continue
			case <-ctx.Done():
				return
			}
		}
		within, done := context.WithTimeout(ctx, writeWithin)
		err := p.conn.Write(within, websocket.MessageText, l.text)
		done()
		p.out.written(l)
		if err != nil {
			return
		}
	}
}

// ping asks now and then whether the page is there.
func (p *page) ping(ctx context.Context) {
	defer p.cancel()
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, done := context.WithTimeout(ctx, pongWithin)
		err := p.conn.Ping(within)
		done()
		if err != nil && !errors.Is(err, context.Canceled) {
			return
		}
	}
}

// stay ends the page once it may not be here any more.
func (p *page) stay(ctx context.Context, may func() bool) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for may() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	p.cancel()
}
