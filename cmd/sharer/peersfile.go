package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	peersVersion  = 1
	mostPeersFile = 1 << 20 // bytes; a node writes at most 512 peers of some 120 bytes
)

// readPeers reads the snapshot that a node keeps; saved is when it was written.
// Rows that cannot be read are left out.
func readPeers(path string) (rows []peerRow, saved time.Time, err error) {
	fi, err := os.Stat(path) // before opening: a FIFO would wait for its writer
	if err != nil {
		return nil, time.Time{}, err
	}
	if !fi.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostPeersFile))
	if err != nil {
		return nil, time.Time{}, err
	}
	rows, err = parsePeers(text)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	return rows, fi.ModTime(), nil
}

func parsePeers(text []byte) ([]peerRow, error) {
	var file struct {
		V     int               `json:"v"`
		Peers []json.RawMessage `json:"peers"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, errors.New("is not a list of peers")
	}
	if file.V != peersVersion {
		return nil, fmt.Errorf("is of version %d, not %d", file.V, peersVersion)
	}
	var rows []peerRow
	for _, raw := range file.Peers {
		var p struct {
			Addr        string
			First, Last int64
			RTT         float64 `json:"rtt_ms"`
		}
		if json.Unmarshal(raw, &p) != nil || p.Addr == "" {
			continue
		}
		row := peerRow{Address: p.Addr, FirstHeard: moment(p.First), LastHeard: moment(p.Last)}
		if p.RTT > 0 {
			row.RTT = &p.RTT
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// moment is seconds since 1970 as a time; zero if the snapshot does not say, or
// says what no JSON time can hold.
func moment(unix int64) time.Time {
	const year9999 = 253402300799
	if unix <= 0 || unix > year9999 {
		return time.Time{}
	}
	return time.Unix(unix, 0).UTC()
}
