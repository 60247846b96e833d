//go:build !linux

package main

// beBatch does nothing: see the other one.
func beBatch() {}

// interactive calls f.
func interactive(f func() error) error { return f() }
