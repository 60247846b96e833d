package control

import "context"

// Doubter stops offering files that were found to be not what they were.
type Doubter interface {
	Doubt(paths []string)
}

type doubtRequest struct {
	Paths []Path `json:"paths"`
}

// ServeDoubter answers those who have read files again.
func (s *Server) ServeDoubter(d Doubter) {
	handle(s, "POST /v1/doubt", func(_ context.Context, in doubtRequest) (struct{}, error) {
		d.Doubt(texts(in.Paths))
		return struct{}{}, nil
	})
}

// Doubt has the daemon stop offering files, and look whether they have changed.
func (c *Client) Doubt(ctx context.Context, paths []string) error {
	var in doubtRequest
	for _, p := range paths {
		in.Paths = append(in.Paths, Path(p))
	}
	return c.Call(ctx, "POST", "/v1/doubt", in, nil)
}
