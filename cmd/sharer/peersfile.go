package main

import (
	"time"

	"sharer/swarm"
)

// readPeers reads the snapshot that a node keeps; saved is when it was written.
func readPeers(path string) (rows []peerRow, saved time.Time, err error) {
	peers, saved, err := swarm.ReadPeersFile(path)
	for _, p := range peers {
		row := peerRow{Address: p.Addr.String(), FirstHeard: moment(p.First), LastHeard: moment(p.Last)}
		if p.RTT > 0 {
			ms := float64(p.RTT.Microseconds()) / 1000
			row.RTT = &ms
		}
		rows = append(rows, row)
	}
	return rows, saved, err
}

// moment is a time of the snapshot; zero if it does not say, or says what no JSON
// time can hold.
func moment(t time.Time) time.Time {
	const year9999 = 253402300799
	if u := t.Unix(); u <= 0 || u > year9999 {
		return time.Time{}
	}
	return t.UTC()
}
