//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// home is a network behind a router that lets nobody in: 192.168.77.0/24, translated to 11.77.0.1. Nothing is beyond
// 11.77.0.0/24.
type home struct {
	t                 *testing.T
	lan, router, wan  *namespace
	rules, conf, held string // files
}

const (
	homeRules = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "lan" accept
		ct state established,related accept
		jump miniupnpd
	}
	chain input { type filter hook input priority 0; policy accept; %s }
	chain miniupnpd { }
	chain prerouting { type nat hook prerouting priority -100; jump pre_miniupnpd; }
	chain pre_miniupnpd { }
	chain postrouting { type nat hook postrouting priority 100; jump post_miniupnpd; oifname "wan" masquerade; }
	chain post_miniupnpd { }
}
`
	// daemonConf is for miniupnpd; %s: UPnP, PCP with NAT-PMP, lease file.
	daemonConf = `ext_ifname=wan
listening_ip=lan
http_port=5000
enable_upnp=%s
enable_natpmp=%s
lease_file=%s
secure_mode=yes
system_uptime=yes
uuid=574ebd55-8d90-47f9-82fb-74fd671d1176
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=pre_miniupnpd
upnp_nat_postrouting_chain=post_miniupnpd
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`
)

// newHome makes one; input is a rule for what the router itself gets.
func newHome(t *testing.T, input string) *home {
	t.Helper()
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("skipped: nft is missing (package nftables)")
	}
	h := &home{t: t, lan: newNamespace(t), router: newNamespace(t), wan: newNamespace(t)}
	h.router.ip("link", "add", "lan", "type", "veth", "peer", "name", "eth", "netns", h.lan.name)
	h.router.ip("link", "add", "wan", "type", "veth", "peer", "name", "eth", "netns", h.wan.name)
	for _, x := range []struct {
		n               *namespace
		address, device string
	}{
		{h.router, "192.168.77.1/24", "lan"}, {h.router, "11.77.0.1/24", "wan"}, {h.lan, "192.168.77.2/24", "eth"}, {h.wan, "11.77.0.2/24", "eth"}, {h.wan, "11.77.0.3/24", "eth"},
	} {
		x.n.ip("addr", "add", x.address, "dev", x.device)
		x.n.ip("link", "set", x.device, "up")
	}
	h.lan.ip("route", "add", "default", "via", "192.168.77.1")
	h.on("sysctl", "-qw", "net.ipv4.ip_forward=1")
	h.rules = filepath.Join(t.TempDir(), "rules")
	write(t, h.rules, []byte(fmt.Sprintf(homeRules, input)))
	h.on("nft", "-f", h.rules)
	return h
}

// on runs a command on the router.
func (h *home) on(args ...string) string {
	h.t.Helper()
	return run(h.t, append([]string{"ip", "netns", "exec", h.router.name}, args...)...)
}

// serve starts miniupnpd on the router.
func (h *home) serve(upnp, pcp string) {
	h.t.Helper()
	path, err := exec.LookPath("miniupnpd")
	if err != nil {
		h.t.Skip("skipped: miniupnpd is missing (package miniupnpd-nftables)")
	}
	dir := h.t.TempDir()
	h.conf, h.held = filepath.Join(dir, "conf"), filepath.Join(dir, "leases")
	write(h.t, h.conf, []byte(fmt.Sprintf(daemonConf, upnp, pcp, h.held)))
	start(h.t, h.router.how(), path, "-d", "-f", h.conf, "-P", filepath.Join(dir, "pid"))
	ready := ":5351 "
	if upnp == "yes" {
		ready = ":5000 "
	}
	for range 200 {
		if strings.Contains(h.on("ss", "-Hlntu"), ready) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	h.t.Fatal("miniupnpd does not listen after ten seconds")
}

// mapped says whether the router leads anything in.
func (h *home) mapped() bool { return strings.Contains(h.on("nft", "list", "ruleset"), "dnat") }

// mapping waits for what is told of IPv4; it may have been told before the node was ready.
func (h *home) mapping(p *process) event {
	h.t.Helper()
	for range 300 {
		for _, e := range p.all(isType("mapping")) {
			if !strings.Contains(e.Message, "IPv6") {
				return e
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	h.t.Fatal("nothing is told of IPv4 after fifteen seconds")
	return event{}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// seed shares a file at home, as people do: nothing is named but the port.
func (h *home) seed(args ...string) (p *process, link string) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "content")
	generate(h.t, path, 200_000, 31)
	p = sharer(h.t, h.lan.how(), append([]string{"seed", "--json", "--listen", ":24254", path}, args...)...)
	p.wait("ready", isType("ready"))
	return p, p.file(path).Link
}

// fetch gets it from outside and returns the exit code.
func (h *home) fetch(link, peer string, timeout time.Duration) int {
	h.t.Helper()
	p := getting(h.t, h.wan.how(), "11.77.0.3:0", peer, link, filepath.Join(h.t.TempDir(), "got"), "--find-timeout", timeout.String())
	return p.exit()
}

// TestPortMapping lets a real router open the port, by each protocol.
func TestPortMapping(t *testing.T) {
	needs(t)
	for _, x := range []struct{ name, input, upnp, pcp string }{
		{"PCP", "", "no", "yes"},
		{"NAT-PMP", "udp dport 5351 @th,64,8 2 drop;", "no", "yes"}, // what begins with version 2 is lost
		{"UPnP", "", "yes", "no"},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := newHome(t, x.input)
			h.serve(x.upnp, x.pcp)
			p, link := h.seed("--port-mapping", "off")
			if code := h.fetch(link, "11.77.0.1:24254", 2*time.Second); code != 3 || h.mapped() {
				t.Fatalf("without a mapping: exit %d, mapped %v", code, h.mapped())
			}
			p.stop()

			p, link = h.seed()
			e := h.mapping(p)
			t.Logf("%s: %s", x.name, e.Message)
			if !strings.Contains(e.Message, "11.77.0.1:24254 ("+x.name+")") || !h.mapped() {
				t.Fatalf("told %q; the router:\n%s", e.Message, h.on("nft", "list", "ruleset"))
			}
			if code := h.fetch(link, "11.77.0.1:24254", 20*time.Second); code != 0 {
				t.Errorf("from outside: exit %d", code)
			}
			p.stop()
			if h.mapped() {
				t.Errorf("still mapped after the end:\n%s", h.on("nft", "list", "ruleset"))
			}
		})
	}
}

// TestBehindNAT: without any mapping, who knows a peer that the node at home talks to gets the file.
func TestBehindNAT(t *testing.T) {
	needs(t)
	h := newHome(t, "")
	other := filepath.Join(t.TempDir(), "other")
	generate(t, other, 1000, 32)
	_, public := seeding(t, h.wan.how(), "11.77.0.2:24254", other)
	_, link := h.seed("--port-mapping", "off", "--peer", public)
	<-time.After(3 * time.Second) // they know each other
	begun := time.Now()
	if code := h.fetch(link, public, 30*time.Second); code != 0 {
		t.Fatalf("exit %d", code)
	}
	t.Logf("fetched from behind a NAT after %.1f s, knowing only a peer of it", time.Since(begun).Seconds())
}
