package main

import "sharer/seed"

func doneEvent(f seed.File) seed.Event { return seed.Event{Kind: seed.FileDone, File: f} }

func skippedEvent(path, why string) seed.Event {
	return seed.Event{Kind: seed.Skipped, Path: path, Reason: why}
}

func failedEvent(path string, err error) seed.Event {
	return seed.Event{Kind: seed.Failed, Path: path, Err: err}
}
