package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// health is what a node says of itself.
type health struct {
	Ready, Primary bool
	Reasons        []string // why it is not ready
}

// askHealth asks a node how it is, and waits for a second. An answer that cannot be
// read is that of a node that is not ready.
func askHealth(ctx context.Context, base string) (h health, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health/ready", nil)
	if err != nil {
		return h, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&h) != nil {
		return health{}, nil
	}
	return h, nil
}
