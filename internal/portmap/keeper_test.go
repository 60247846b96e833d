package portmap

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const port = 24254

// chance is a source of random bytes that is the same each time.
func chance() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// told collects what is said to the user.
type told struct {
	mu  sync.Mutex
	all []Status
}

func (x *told) add(s Status) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = append(x.all, s)
}

func (x *told) lines() (lines []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.all {
		lines = append(lines, s.String())
	}
	return lines
}

// keeping runs a keeper with a router in a bubble. At the end nothing has left for another address than the router's.
func keeping(t *testing.T, r *router, test func(t *testing.T, k *Keeper, x *told)) {
	t.Helper()
	r.booted = time.Now()
	x := &told{}
	c := Config{Network: r, Rand: chance(), Changed: x.add}
	if r.at.Is4() {
		c.V4 = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	} else {
		c.V6 = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	}
	k := Start(c)
	closed := false
	defer func() {
		if !closed {
			k.Close()
		}
		if n := r.elsewhere(); n > 0 {
			t.Errorf("%d datagrams and connections left for others than the gateway: %v", n, r.everAt)
		}
	}()
	test(t, k, x)
	start := time.Now()
	k.Close()
	closed = true
	if took := time.Since(start); took > time.Second {
		t.Errorf("Close took %v", took)
	}
}

// status waits until there is something to tell, and says what.
func status(t *testing.T, k *Keeper) Status {
	t.Helper()
	for range 600 {
		synctest.Wait()
		if s := k.Status()[0]; !errors.Is(s.Err, errPending) {
			return s
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("nothing became known in a minute")
	return Status{}
}

func TestProtocols(t *testing.T) {
	for name, x := range map[string]struct {
		set      func(*router)
		protocol string
		external string
		endless  bool
	}{
		"PCP":                        {func(r *router) { r.pcp = true }, "PCP", "11.77.0.1:24254", false},
		"PCP before the others":      {func(r *router) { r.pcp, r.natpmp, r.upnp = true, true, true }, "PCP", "11.77.0.1:24254", false},
		"PCP, port taken":            {func(r *router) { r.pcp = true; r.taken[port] = true }, "PCP", "11.77.0.1:24255", false},
		"NAT-PMP":                    {func(r *router) { r.natpmp = true }, "NAT-PMP", "11.77.0.1:24254", false},
		"NAT-PMP, port taken":        {func(r *router) { r.natpmp = true; r.taken[port] = true }, "NAT-PMP", "11.77.0.1:24255", false},
		"UPnP":                       {func(r *router) { r.upnp = true }, "UPnP", "11.77.0.1:24254", false},
		"UPnP, port taken":           {func(r *router) { r.upnp = true; r.taken[port] = true }, "UPnP", "11.77.0.1:24255", false},
		"UPnP 1, port taken":         {func(r *router) { r.upnp, r.version1 = true, true; r.taken[port] = true }, "UPnP", "", false},
		"UPnP, lease not understood": {func(r *router) { r.upnp, r.onlyPermanent, r.refuses = true, true, 402 }, "UPnP", "11.77.0.1:24254", true},
		"UPnP, only permanent":       {func(r *router) { r.upnp, r.onlyPermanent = true, true }, "UPnP", "11.77.0.1:24254", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				x.set(r)
				keeping(t, r, func(t *testing.T, k *Keeper, heard *told) {
					s := status(t, k)
					if s.Err != nil || s.Protocol != x.protocol || x.external != "" && s.External.String() != x.external || s.Until.IsZero() != x.endless || !s.Public() {
						t.Fatalf("%+v", s)
					}
					if got := r.held(); !slices.Equal(got, []uint16{s.External.Port()}) {
						t.Errorf("the router holds %v", got)
					}
					if lines := heard.lines(); len(lines) != 1 || !strings.Contains(lines[0], "open to the world as "+s.External.String()) {
						t.Errorf("told %q", lines)
					}
					_, before := r.counted()
					time.Sleep(5 * time.Hour) // ten halves of a lease
					if _, adds := r.counted(); adds-before < 9 || adds-before > 11 {
						t.Errorf("renewed %d times in five hours", adds-before)
					}
					if len(r.held()) != 1 || len(heard.lines()) != 1 {
						t.Errorf("held %v, told %q after five hours", r.held(), heard.lines())
					}
				})
				if got := r.held(); len(got) > 0 {
					t.Errorf("the router holds %v after Close", got)
				}
			})
		})
	}
}

func TestPinhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.upnp = true
		r.at, r.own = netip.MustParseAddr("2001:4860::1"), netip.MustParseAddr("2001:4860::2")
		keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
			s := status(t, k)
			if s.Err != nil || s.Protocol != "UPnP" || s.External.String() != "[2001:4860::2]:24254" {
				t.Fatalf("%+v", s)
			}
			time.Sleep(2 * time.Hour)
			if len(r.held()) != 1 {
				t.Errorf("held %v", r.held())
			}
			r.reboot()
			time.Sleep(time.Hour)
			if len(r.held()) != 1 {
				t.Error("a pinhole that the router forgot was not made again within a lease")
			}
		})
		if len(r.held()) > 0 {
			t.Error("the pinhole is still there after Close")
		}
	})
}

// A gateway that says nothing is asked less and less often, and Close waits for nothing.
func TestSilentGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		keeping(t, r, func(t *testing.T, k *Keeper, heard *told) {
			s := status(t, k)
			if s.Err == nil || s.Protocol != "" || !strings.Contains(s.Err.Error(), "PCP: no answer") || !strings.Contains(s.Err.Error(), "UPnP: no answer") {
				t.Fatalf("%+v", s)
			}
			time.Sleep(24 * time.Hour)
			asked, _ := r.counted()
			time.Sleep(24 * time.Hour)
			again, _ := r.counted()
			// Each attempt is three datagrams of PCP, three of NAT-PMP, and six searches.
			if per := (again - asked) / 12; per < 45 || per > 49 {
				t.Errorf("%d attempts a day", per)
			}
			if len(heard.lines()) != 1 {
				t.Errorf("told %q", heard.lines())
			}
			r.mu.Lock()
			r.natpmp = true // it was exchanged for a better one
			r.mu.Unlock()
			time.Sleep(31 * time.Minute)
			if s := k.Status()[0]; s.Protocol != "NAT-PMP" {
				t.Errorf("%+v", s)
			}
		})
	})
}

// A gateway that lost its state, or has another address, is found out within minutes.
func TestGatewayStartsAnew(t *testing.T) {
	for _, name := range []string{"PCP", "NAT-PMP"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				r.pcp, r.natpmp = name == "PCP", name == "NAT-PMP"
				keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
					status(t, k)
					time.Sleep(12 * time.Minute)
					r.reboot()
					time.Sleep(watchEvery + lookEvery)
					if got := r.held(); len(got) != 1 {
						t.Errorf("held %v", got)
					}
				})
			})
		})
	}
	t.Run("another address outside", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter()
			r.upnp = true
			keeping(t, r, func(t *testing.T, k *Keeper, heard *told) {
				status(t, k)
				time.Sleep(12 * time.Minute)
				r.mu.Lock()
				r.external = netip.MustParseAddr("11.88.0.1")
				r.mu.Unlock()
				time.Sleep(watchEvery + lookEvery)
				if s := k.Status()[0]; s.External.Addr().String() != "11.88.0.1" {
					t.Errorf("%+v, told %q", s, heard.lines())
				}
			})
		})
	})
	t.Run("UPnP, the same address", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter()
			r.upnp = true
			keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
				status(t, k)
				time.Sleep(2 * time.Minute)
				r.reboot()
				time.Sleep(watchEvery + lookEvery)
				if got := r.held(); len(got) != 1 {
					t.Errorf("held %v", got)
				}
			})
		})
	})
	t.Run("another gateway", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter()
			r.natpmp = true
			k := Start(Config{Network: r, Rand: chance(), V4: netip.AddrPortFrom(netip.IPv4Unspecified(), port)})
			defer k.Close()
			status(t, k)
			before := r.at
			r.mu.Lock()
			r.at = netip.MustParseAddr("192.168.77.254")
			r.mu.Unlock()
			time.Sleep(2 * lookEvery)
			if s := k.Status()[0]; s.Gateway != r.at || s.Protocol != "NAT-PMP" {
				t.Errorf("%+v", s)
			}
			r.mu.Lock()
			old := r.everAt[before]
			r.mu.Unlock()
			time.Sleep(time.Hour)
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.everAt[before] != old {
				t.Error("the gateway of before is still asked")
			}
		})
	})
	t.Run("another address of ours", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter()
			r.natpmp = true
			keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
				status(t, k)
				r.mu.Lock()
				r.own = netip.MustParseAddr("192.168.77.9")
				r.mu.Unlock()
				_, before := r.counted()
				time.Sleep(2 * lookEvery)
				if _, adds := r.counted(); adds != before+1 || k.Status()[0].Internal.Addr() != r.own {
					t.Errorf("%d mappings made after the move, %+v", adds-before, k.Status()[0])
				}
			})
		})
	})
}

func TestNobodyIsAsked(t *testing.T) {
	for name, set := range map[string]func(*router){
		"public":     func(r *router) { r.own = netip.MustParseAddr("11.1.2.3") },
		"no gateway": func(r *router) { r.at = netip.Addr{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				r.pcp = true
				set(r)
				k := Start(Config{Network: r, Rand: chance(), V4: netip.AddrPortFrom(netip.IPv4Unspecified(), port)})
				time.Sleep(time.Hour)
				if asked, _ := r.counted(); asked > 0 || k.Status()[0].Err == nil {
					t.Errorf("asked %d times, %+v", asked, k.Status()[0])
				}
				k.Close()
			})
		})
	}
}

// There is another NAT outside: it is said that strangers cannot come in.
func TestNATOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.pcp, r.external = true, netip.MustParseAddr("100.64.3.4")
		keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
			if s := status(t, k); s.Public() || !strings.Contains(s.String(), "another NAT") {
				t.Errorf("%s", s)
			}
		})
	})
}

// A lease that is given for a moment does not make us ask all the time.
func TestShortLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.natpmp, r.lease = true, time.Second
		keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
			status(t, k)
			time.Sleep(time.Hour)
			if _, adds := r.counted(); adds > 62 || adds < 50 {
				t.Errorf("asked for %d times in an hour", adds)
			}
		})
	})
}

// A24: whatever comes from the gateway, or pretends to, only the gateway is contacted, and soon it is over.
func TestGatewayIsHostile(t *testing.T) {
	evil := netip.MustParseAddrPort("8.8.8.8:5000")
	for name, set := range map[string]func(*router){
		"search leads elsewhere": func(r *router) {
			r.ssdp = func() string { r.lies++; return "http://" + evil.String() + "/rootDesc.xml" }
		},
		"search leads to a name": func(r *router) {
			r.ssdp = func() string { r.lies++; return "http://router.example:5000/rootDesc.xml" }
		},
		"redirect": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				w.Header().Set("Location", "http://"+evil.String()+"/rootDesc.xml")
				w.WriteHeader(http.StatusMovedPermanently)
				return true
			}
		},
		"services elsewhere": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				fmt.Fprintf(w, "<root><service><serviceType>%s</serviceType><controlURL>http://%s/c</controlURL></service></root>", mapKinds[0], evil)
				return true
			}
		},
		"a base elsewhere": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				fmt.Fprintf(w, "<root><URLBase>http://%s/</URLBase><service><serviceType>%s</serviceType><controlURL>/c</controlURL></service></root>", evil, mapKinds[0])
				return true
			}
		},
		"no end": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				_, err := io.WriteString(w, "<root>")
				for err == nil {
					_, err = io.WriteString(w, strings.Repeat("<a></a>", 1000))
				}
				return true
			}
		},
		"endless header": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				a := w.(*answer)
				_, err := io.WriteString(a.c, "HTTP/1.1 200 OK\r\n")
				for err == nil {
					_, err = io.WriteString(a.c, "X: "+strings.Repeat("x", 100)+"\r\n")
				}
				return true
			}
		},
		"drop by drop": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				_, err := io.WriteString(w, "<root>")
				for err == nil {
					time.Sleep(time.Second)
					_, err = io.WriteString(w, " ")
				}
				return true
			}
		},
		"an entity bomb": func(r *router) {
			r.web = func(w http.ResponseWriter, _ *http.Request) bool {
				r.lie()
				_, _ = io.WriteString(w, `<!DOCTYPE a [<!ENTITY a "`+strings.Repeat("a", 1000)+`"><!ENTITY b "&a;&a;&a;&a;">]><root>&b;</root>`)
				return true
			}
		},
		"a stranger answers first": func(r *router) {
			// It would do but for its sender.
			r.pcp = true
			r.forged = func(to netip.AddrPort, request []byte) []spoof {
				if to.Port() != serverPort || len(request) != pcpMapSize {
					return nil
				}
				other := newRouter()
				other.external = evil.Addr()
				return []spoof{{netip.AddrPortFrom(evil.Addr(), to.Port()), other.pcpLocked(request)}}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				r.upnp = true
				set(r)
				start := time.Now()
				keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
					s := status(t, k)
					if took := time.Since(start); took > 30*time.Second {
						t.Errorf("an attempt took %v", took)
					}
					if r.forged == nil && s.Protocol != "" || r.forged != nil && s.External.Addr() != outside {
						t.Errorf("%+v", s)
					}
					if n := r.written.Load(); n > maxLocations*(maxAnswer+16<<10) {
						t.Errorf("%d bytes were read in one attempt", n)
					}
					time.Sleep(time.Hour)
				})
				r.mu.Lock()
				defer r.mu.Unlock()
				if r.lies == 0 {
					t.Error("it never lied")
				}
			})
		})
	}
}

func (r *router) lie() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies++
}

// A keeper that ends while its question is out removes what may have been made by it.
func TestCloseWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.upnp = true
		slow := make(chan struct{})
		r.web = func(_ http.ResponseWriter, request *http.Request) bool {
			if strings.HasSuffix(request.Header.Get("SOAPAction"), `#AddPortMapping"`) {
				r.mu.Lock()
				r.mapLocked(port, time.Hour)
				r.mu.Unlock()
				close(slow)
				time.Sleep(2 * time.Second) // it is made, and nobody hears of it
				return true
			}
			return false
		}
		k := Start(Config{Network: r, Rand: chance(), V4: netip.AddrPortFrom(netip.IPv4Unspecified(), port)})
		<-slow
		start := time.Now()
		k.Close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		if got := r.held(); len(got) > 0 {
			t.Errorf("the router holds %v", got)
		}
		time.Sleep(3 * time.Second) // the router's side ends too
	})
}

// Whatever the gateway does not answer, Close takes a second at most; and a mapping for ever that could not be renewed
// is removed by it all the same.
func TestCloseAfterSilence(t *testing.T) {
	for name, set := range map[string]func(*router){
		"PCP":                  func(r *router) { r.pcp = true },
		"NAT-PMP":              func(r *router) { r.natpmp = true },
		"UPnP":                 func(r *router) { r.upnp = true },
		"UPnP, only permanent": func(r *router) { r.upnp, r.onlyPermanent = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				set(r)
				keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
					status(t, k)
					r.quiet(true)
				})
				time.Sleep(2 * httpTimeout) // connections that were begun are given up
			})
			synctest.Test(t, func(t *testing.T) {
				r := newRouter()
				set(r)
				keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
					status(t, k)
					r.quiet(true)
					time.Sleep(40 * time.Minute) // a renewal has failed
					r.quiet(false)
				})
				if got := r.held(); len(got) > 0 {
					t.Errorf("the router holds %v", got)
				}
			})
		})
	}
}

// The router says that the port is another's, and the keeper ends while it asks for the next one: what is another's stays.
func TestCloseAfterConflict(t *testing.T) {
	for _, version1 := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRouter()
			r.upnp, r.version1 = true, version1
			r.mapLocked(port, 0) // another's
			conflict, asked, slow := false, uint16(0), make(chan struct{})
			r.web = func(w http.ResponseWriter, request *http.Request) bool {
				if !strings.Contains(request.Header.Get("SOAPAction"), "#Add") {
					return false
				}
				if !conflict {
					conflict = true
					w.WriteHeader(http.StatusInternalServerError)
					_, _ = io.WriteString(w, "<s><errorCode>718</errorCode></s>")
					return true
				}
				body, _ := io.ReadAll(request.Body)
				_, _ = fmt.Sscan(element(string(body), "NewExternalPort"), &asked)
				if version1 {
					r.mu.Lock()
					r.mapLocked(asked, 0)
					r.mu.Unlock()
				}
				close(slow)
				time.Sleep(2 * time.Second)
				return true
			}
			k := Start(Config{Network: r, Rand: chance(), V4: netip.AddrPortFrom(netip.IPv4Unspecified(), port)})
			<-slow
			k.Close()
			if got := r.held(); !slices.Equal(got, []uint16{port}) {
				t.Errorf("version 1 %v: the router holds %v, want only what is another's; asked for %d", version1, got, asked)
			}
			time.Sleep(3 * time.Second)
		})
	}
}

// A router that does not know its own address still opens the port.
func TestAddressUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter()
		r.upnp, r.external = true, netip.Addr{}
		keeping(t, r, func(t *testing.T, k *Keeper, _ *told) {
			if s := status(t, k); s.Err != nil || s.Public() || !strings.Contains(s.String(), "does not know its address") {
				t.Errorf("%s: %+v", s, s)
			}
		})
	})
}
