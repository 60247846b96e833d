package udp

import "testing"

// A socket in which nothing waits has room, and asking costs no memory.
func TestRoomy(t *testing.T) {
	c, err := Listen([]string{"127.0.0.1:0", "[::1]:0"}, Options{SendBuffer: 1})
	if err != nil {
		c, err = Listen([]string{"127.0.0.1:0"}, Options{SendBuffer: 1}) // without IPv6
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Roomy() {
		t.Error("nothing waits, and there is no room")
	}
	if n := testing.AllocsPerRun(100, func() { c.Roomy() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
