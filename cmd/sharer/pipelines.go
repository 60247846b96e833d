package main

import (
	"bufio"
	"bytes"
	"io"
)

// pipeLines reads lines from a pipe or a file. Of one that is longer than a message may be only so much is kept that it is
// refused for that.
type pipeLines struct{ r *bufio.Reader }

func newPipeLines(r io.Reader) *pipeLines { return &pipeLines{bufio.NewReader(r)} }

// ReadLine returns a line without its end; one without an end at the end of the input counts too.
func (p *pipeLines) ReadLine() (string, error) {
	var line []byte
	for {
		part, err := p.r.ReadSlice('\n')
		if len(line) <= 2*maxChat {
			line = append(line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && (err != io.EOF || len(line) == 0):
			return "", err
		}
		return string(bytes.TrimRight(line, "\r\n")), nil
	}
}
