package sim

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var picturePath = flag.String("sim.picture", "", "FILE.svg or FILE.csv: blocks over time for each node, of the last of the rows N17 and N18 that runs")

// sketch is a picture that a row draws when it was asked for; nil: it was not.
type sketch struct{ p *Progress }

func (w *World) picture(title string) *sketch {
	if *picturePath == "" {
		return nil
	}
	return &sketch{w.FollowProgress(title)}
}

// save writes it where the flag says.
func (s *sketch) save(r *result) {
	if s == nil {
		return
	}
	var b bytes.Buffer
	draw := s.p.SVG
	if strings.HasSuffix(*picturePath, ".csv") {
		draw = s.p.CSV
	}
	if err := errors.Join(draw(&b), os.WriteFile(*picturePath, b.Bytes(), 0o644)); err != nil {
		r.t.Error(err)
	}
	r.figure("picture in %s", *picturePath)
}

// A picture is well-formed, and says what happened.
func TestPicture(t *testing.T) {
	start := time.Unix(0, 0)
	p := &Progress{Title: "a < b", start: start, lines: map[*life]*progressLine{}}
	one := &life{at: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1")}}
	two := &life{at: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:1")}}
	p.add(one, time.Second, 0.5)
	p.add(one, 2*time.Second, 0.5)
	p.finished(one, start.Add(3*time.Second))
	p.add(two, 2*time.Second, 0.25)
	p.gone(two, start.Add(4*time.Second))
	var b bytes.Buffer
	if err := p.SVG(&b); err != nil {
		t.Fatal(err)
	}
	boxes, green := 0, 0
	d := xml.NewDecoder(&b)
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			boxes++
			for _, a := range e.Attr {
				if a.Value == shade(1) {
					green++
				}
			}
		}
	}
	if boxes != 4 || green != 1 { // the ground, two steps of the first node, one of the second
		t.Errorf("%d boxes, %d green", boxes, green)
	}
	b.Reset()
	if err := p.CSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != 4 || lines[2][3] != "1.0000" {
		t.Errorf("%v, %v", lines, err)
	}
}
