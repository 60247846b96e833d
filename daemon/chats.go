package daemon

import (
	"sync"

	"sharer/node"
)

// chats shows what arrives to all who listen. A listener must not block.
type chats struct {
	mu        sync.Mutex
	last      int
	listeners map[int]func(node.Chat)
	own       func(node.Chat) // of the process itself
}

// OnChat says who is shown what proven addresses say, besides those who listen by Chats.
func (d *Daemon) OnChat(show func(node.Chat)) {
	d.chats.mu.Lock()
	defer d.chats.mu.Unlock()
	d.chats.own = show
	d.Node.OnChat(d.chats.tell)
}

// Chats shows what proven addresses say, until stop.
func (d *Daemon) Chats(show func(node.Chat)) (stop func()) {
	c := &d.chats
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listeners == nil {
		c.listeners = map[int]func(node.Chat){}
	}
	c.last++
	id := c.last
	c.listeners[id] = show
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.listeners, id)
	}
}

func (c *chats) tell(m node.Chat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own != nil {
		c.own(m)
	}
	for _, show := range c.listeners {
		show(m)
	}
}
