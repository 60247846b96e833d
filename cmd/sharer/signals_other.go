//go:build !unix

package main

import "os"

func ignorePipe() {}

// catchTell: there is no signal that asks for progress here.
func catchTell() (tell <-chan os.Signal, stop func()) { return nil, func() {} }
