//go:build linux

package portmap

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
)

// defaultGateway is where the kernel sends what is for no other network; the zero Addr if nowhere.
func defaultGateway(v6 bool) (netip.Addr, error) {
	name, parse := "/proc/net/route", parseRoute4
	if v6 {
		name, parse = "/proc/net/ipv6_route", parseRoute6
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return netip.Addr{}, nil // the kernel has no such family
	}
	return parse(string(text)), err
}
