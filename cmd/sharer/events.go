package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// The events of --json, one a line. Fields are only ever added. Bytes are bytes of
// content, times RFC 3339, ids as blake3/<hex>; what is unknown is left out.

// statusEvent is one look at a piece of work, at every --progress-interval.
type statusEvent struct {
	V          int    `json:"v"`
	Type       string `json:"type"` // "status"
	Job        string `json:"job,omitempty"`
	ID         string `json:"id,omitempty"`
	State      string `json:"state"` // "looking for peers", "downloading", "hashing"
	FilesDone  *int   `json:"files_done,omitempty"`
	FilesTotal *int   `json:"files_total,omitempty"`
	BytesDone  int64  `json:"bytes_done"`
	BytesTotal *int64 `json:"bytes_total,omitempty"`
	Rate       int64  `json:"rate"` // bytes a second, mean of ten seconds
	ETA        *int64 `json:"eta_s,omitempty"`
	Peers      int    `json:"peers"`
	Sources    int    `json:"sources"`
}

// seededEvent is a file that is offered, or that hash has read.
type seededEvent struct {
	V         int    `json:"v"`
	Type      string `json:"type"` // "file"
	Path      string `json:"path"`
	PathBytes []byte `json:"path_bytes,omitempty"` // base64, only if the path is not UTF-8
	Size      int64  `json:"size"`
	BLAKE3    string `json:"blake3,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Link      string `json:"link,omitempty"`
}

// readyEvent says that a seed answers peers.
type readyEvent struct {
	V      int      `json:"v"`
	Type   string   `json:"type"` // "ready"
	Listen []string `json:"listen"`
	Files  int      `json:"files"`
	Bytes  int64    `json:"bytes"`

	Web string `json:"web,omitempty"` // the page of the node

	Folder  string        `json:"folder,omitempty"` // link of the last folder
	Folders []folderOffer `json:"folders,omitempty"`
}

// folderOffer is a folder that can be fetched by one link.
type folderOffer struct {
	Path      string `json:"path"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	Link      string `json:"link"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
	Left      int    `json:"left_out"` // files whose names no manifest can hold
}

// folderDocument is the answer to ls LINK --json; the table is made from it too.
type folderDocument struct {
	V     int         `json:"v"`
	Type  string      `json:"type"` // "folder"
	ID    string      `json:"id"`   // folder/<hex>
	Name  string      `json:"name,omitempty"`
	Path  string      `json:"path,omitempty"` // in the folder: what was listed
	Files int         `json:"files"`          // listed
	Bytes int64       `json:"bytes"`          // of them
	Rows  []folderRow `json:"entries"`
}

// folderRow is one file of a folder.
type folderRow struct {
	Path       string     `json:"path"`
	Size       int64      `json:"size"`
	BLAKE3     string     `json:"blake3"`
	SHA256     string     `json:"sha256,omitempty"`
	Modified   *time.Time `json:"modified,omitempty"`
	Executable bool       `json:"executable,omitempty"`
	Hidden     bool       `json:"hidden,omitempty"`
	Link       string     `json:"link"`
}

// mappingEvent says what has become of the port at the router, for one family of addresses.
type mappingEvent struct {
	V        int    `json:"v"`
	Type     string `json:"type"` // "mapping"
	Internal string `json:"internal"`
	External string `json:"external,omitempty"` // if there is a mapping and the router knows its address
	Protocol string `json:"protocol,omitempty"` // "PCP", "NAT-PMP", "UPnP", if there is a mapping
	Public   bool   `json:"public"`             // strangers can come in by External
	Message  string `json:"message"`
}

// gotEvent is a download that is complete, verified and under its final name.
type gotEvent struct {
	V          int     `json:"v"`
	Type       string  `json:"type"` // "file"
	Job        string  `json:"job"`
	ID         string  `json:"id"`
	Path       string  `json:"path"`
	PathBytes  []byte  `json:"path_bytes,omitempty"`
	Size       int64   `json:"size"`
	Seconds    float64 `json:"seconds"`
	Unverified bool    `json:"unverified,omitempty"` // fetched by name
	Existed    bool    `json:"existed"`              // was there already; nothing was fetched
	Fetched    int64   `json:"bytes_fetched"`
	Resumed    int64   `json:"bytes_resumed"`
}

// warningEvent is something that does not end the command. Code is that of an
// item that failed.
type warningEvent struct {
	V       int    `json:"v"`
	Type    string `json:"type"` // "warning"
	Code    string `json:"code,omitempty"`
	Job     string `json:"job,omitempty"`
	ID      string `json:"id,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

// summaryEvent is the last line of a command that did not fail as a whole.
type summaryEvent struct {
	V        int     `json:"v"`
	Type     string  `json:"type"` // "summary"
	Job      string  `json:"job,omitempty"`
	ID       string  `json:"id,omitempty"`
	Path     string  `json:"path,omitempty"`
	Files    int     `json:"files"`
	Failed   int     `json:"failed"`
	Skipped  int     `json:"skipped,omitempty"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Verified bool    `json:"verified"`
	Code     string  `json:"code"`
	Exit     int     `json:"exit"`
}

// endEvent is the last line of a command that has nothing to sum up.
type endEvent struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "summary"
	Code string `json:"code"`
	Exit int    `json:"exit"`
}

// errorEvent is the last line of a command that failed.
type errorEvent struct {
	V       int    `json:"v"`
	Type    string `json:"type"` // "error"
	Code    string `json:"code"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
}

// offersDocument is the answer to ls --peers --json; the table is made from it too.
type offersDocument struct {
	V        int        `json:"v"`
	Type     string     `json:"type"`     // "offers"
	Asked    int        `json:"asked"`    // peers
	Answered int        `json:"answered"` // of them
	Offers   []offerRow `json:"offers"`
}

// offerRow is one content that peers say they have.
type offerRow struct {
	ID    string   `json:"id"`
	Size  int64    `json:"size"`
	How   []string `json:"how"` // "listed", "seen", "recommended"
	Peers []string `json:"peers"`
}

// chatEvent is a message that arrived, or that was sent.
type chatEvent struct {
	V    int       `json:"v"`
	Type string    `json:"type"` // "chat"
	From string    `json:"from,omitempty"`
	To   string    `json:"to,omitempty"` // an address or a key
	Text string    `json:"text"`
	Time time.Time `json:"time"`

	Key       string `json:"key,omitempty"`    // who said it, or whom it was sealed for
	Sealed    bool   `json:"sealed,omitempty"` // nobody else can read it
	Group     string `json:"group,omitempty"`
	Known     int    `json:"known,omitempty"` // of a group: keys that it was sent to
	Delivered int    `json:"delivered,omitempty"`
}

// publishedEvent is a name that stands for a content from now on.
type publishedEvent struct {
	V      int    `json:"v"`
	Type   string `json:"type"` // "published"
	Name   string `json:"name"`
	Link   string `json:"link"`
	Web    string `json:"web"`
	Seq    int64  `json:"seq"`
	SHA256 string `json:"sha256"`
	BLAKE3 string `json:"blake3,omitempty"`
}

// keyDocument is the answer to key --json.
type keyDocument struct {
	V    int    `json:"v"`
	Type string `json:"type"` // "key"
	Key  string `json:"key"`
	File string `json:"file"`
}

// whoisDocument is the answer to whois --json.
type whoisDocument struct {
	V      int        `json:"v"`
	Type   string     `json:"type"` // "whois"
	Key    string     `json:"key"`
	Addr   string     `json:"address"`
	Proven bool       `json:"proven"` // the holder of the key has signed there what we asked for
	First  time.Time  `json:"first_heard"`
	Seen   time.Time  `json:"last_heard"`
	Proved *time.Time `json:"last_proved,omitempty"`
	Former []string   `json:"former_addresses,omitempty"`
}

// pongEvent is one answer to a ping, or its absence.
type pongEvent struct {
	V     int      `json:"v"`
	Type  string   `json:"type"` // "pong", or "lost" without bytes and rtt_ms
	From  string   `json:"from"`
	Seq   int      `json:"seq"`
	Bytes int      `json:"bytes,omitempty"`
	RTT   *float64 `json:"rtt_ms,omitempty"`
	Key   string   `json:"key,omitempty"` // who lives there
}

// pingSummary is the last line of ping --json.
type pingSummary struct {
	V       int           `json:"v"`
	Type    string        `json:"type"` // "summary"
	Targets []pingResults `json:"targets"`
	Code    string        `json:"code"`
	Exit    int           `json:"exit"`
}

// pingResults are the statistics of one target. The times are there if one answer came.
type pingResults struct {
	Address  string   `json:"address"`
	Sent     int      `json:"sent"`
	Answered int      `json:"answered"`
	Loss     float64  `json:"loss_percent"`
	Min      *float64 `json:"rtt_min_ms,omitempty"`
	Avg      *float64 `json:"rtt_avg_ms,omitempty"`
	Max      *float64 `json:"rtt_max_ms,omitempty"`
}

// writeEvent prints one event as one line. Characters that do not belong on a
// terminal are written as \u escapes, which mean the same in JSON: the strings of
// strangers arrive exactly, and looking at them is safe.
func writeEvent(w io.Writer, event any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		panic(fmt.Sprintf("event %T: %v", event, err)) // a struct of plain fields: cannot fail
	}
	line := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(line)+1)
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		switch {
		case r < 0x7f || shown(r) || r == utf8.RuneError:
			out = append(out, line[:n]...)
		case r <= 0xFFFF:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			const surrogates, low, high = 0x10000, 0xDC00, 0xD800
			out = fmt.Appendf(out, `\u%04x\u%04x`, high+(r-surrogates)>>10, low+(r-surrogates)&0x3FF)
		}
		line = line[n:]
	}
	w.Write(append(out, '\n'))
}

// pathBytes are the bytes of a path that JSON cannot carry as text, else nil.
func pathBytes(path string) []byte {
	if utf8.ValidString(path) {
		return nil
	}
	return []byte(path)
}

// seconds is a duration as a JSON number, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// milliseconds is a round trip as a JSON number, to the microsecond.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// jsonFlag registers --json alone, for the verbs that print one document.
func jsonFlag(p *bool) func(*pflag.FlagSet) {
	return func(fs *pflag.FlagSet) { fs.BoolVar(p, "json", false, "print JSON") }
}

// hasJSON looks for --json where no verb was found that could have parsed it.
func hasJSON(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--json" {
			return true
		}
	}
	return false
}
