package wire

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

const vectors = "../testdata/vectors"

// recorded returns what captured.jsonl, exchanges.jsonl and bridge.jsonl hold: datagrams that
// nodes sent, and requests that were made to them, some of them bad on purpose.
func recorded(t testing.TB) (sent, requests []string) {
	t.Helper()
	for _, name := range []string{"captured.jsonl", "exchanges.jsonl", "bridge.jsonl"} {
		f, err := os.Open(filepath.Join(vectors, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var v struct{ Datagram, Request, Reply, Dir, Text string }
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, d := range []string{v.Datagram, v.Reply} {
				if d != "" {
					sent = append(sent, d)
				}
			}
			switch v.Dir {
			case "page to node":
				requests = append(requests, v.Text)
			case "node to page":
				sent = append(sent, v.Text)
			}
			if v.Request != "" {
				requests = append(requests, v.Request)
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if len(sent) < 40 || len(requests) < 20 {
		t.Fatalf("only %d datagrams and %d requests recorded", len(sent), len(requests))
	}
	return sent, requests
}

// decoders are the ParseX of all messages.
var decoders = map[string]func([]byte) (Message, error){
	"PleaseSendContent":             decoder(ParsePleaseSendContent),
	"Content":                       decoder(ParseContent),
	"MaybeTheyHaveSome":             decoder(ParseMaybeTheyHaveSome),
	"PleaseSendPeers":               decoder(ParsePleaseSendPeers),
	"Peers":                         decoder(ParsePeers),
	"PleaseReturnThisMessage":       decoder(ParsePleaseReturnThisMessage),
	"ReturnedMessage":               decoder(ParseReturnedMessage),
	"PleaseAlwaysReturnThisMessage": decoder(ParsePleaseAlwaysReturnThisMessage),
	"AlwaysReturned":                decoder(ParseAlwaysReturned),
	"PleaseListContent":             decoder(ParsePleaseListContent),
	"ContentList":                   decoder(ParseContentList),
	"IJustSawThis":                  decoder(ParseIJustSawThis),
	"YouShouldSeeThis":              decoder(ParseYouShouldSeeThis),
	"ChatMessage":                   decoder(ParseChatMessage),
	"GroupChatMessage":              decoder(ParseGroupChatMessage),
	"MyPublicKey":                   decoder(ParseMyPublicKey),
	"SignedMessage":                 decoder(ParseSignedMessage),
	"EncryptedMessages":             decoder(ParseEncryptedMessages),
	"FastEncryptedMessages":         decoder(ParseFastEncryptedMessages),
	"WhereAreThey":                  decoder(ParseWhereAreThey),
	"Forward":                       decoder(ParseForward),
	"YourEd25519":                   decoder(ParseYourEd25519),
	"Forwarded":                     decoder(ParseForwarded),
	"GetLatest":                     decoder(ParseGetLatest),
	"Latest":                        decoder(ParseLatest),
}

func decoder[M Message](parse func([]byte) (M, error)) func([]byte) (Message, error) {
	return func(payload []byte) (Message, error) {
		m, err := parse(payload)
		return m, err
	}
}
