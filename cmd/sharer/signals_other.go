//go:build !unix

package main

import "os"

func ignorePipe() {}

// hangUp: no signal tells here that the terminal goes away.
func hangUp() []os.Signal { return nil }

// catchReload: there is no signal that asks to read the settings again here; a restart does.
func catchReload() (hup <-chan os.Signal, stop func()) { return nil, func() {} }

// catchTell: there is no signal that asks for progress here.
func catchTell() (tell <-chan os.Signal, stop func()) { return nil, func() {} }
