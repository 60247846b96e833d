package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"sharer/identity"
	"sharer/node"
)

// keyOptions are the flags of key.
type keyOptions struct{ *options }

func newKey() *command {
	c := newCommand("key", "[show | export FILE | import FILE]", "show, save or take over the key that others know you by")
	c.long = `Your key is who you are to others: it is made once, and lies in the state folder, readable by you alone.
Whoever has a copy of that file can speak in your name and read what is sealed for you.

  show          print the public key, which is for everybody (the default)
  export FILE   save a copy of the secret key to a new file; - for standard output
  import FILE   use the key in FILE, such as one that was exported, or the best-known node's; - for standard
                input. A key that is there already is never replaced: move its file away first`
	c.examples = "sharer key\nsharer key export ~/safe/sharer-key.json\nsharer key import ~/safe/sharer-key.json"
	o := &keyOptions{options: c.options}
	c.outputFlags()
	c.stateFlag()
	c.run = func(ctx context.Context, args []string, s *stdio) error { return runKey(ctx, o, args, s) }
	return c
}

func runKey(ctx context.Context, o *keyOptions, args []string, s *stdio) error {
	verb := "show"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	want := map[string]int{"show": 0, "export": 1, "import": 1}
	n, ok := want[verb]
	switch {
	case !ok:
		return usagef("key %q: want show, export or import", shorten(verb, 40))
	case len(args) != n:
		return usagef("key %s takes %s; see sharer help key", verb, []string{"no argument", "one file"}[n])
	}
	dir, err := o.stateFolder(s.getenv)
	if err != nil {
		return err
	}
	scr := newScreen(o.options, s)
	defer scr.close()
	if verb == "import" {
		return importKey(ctx, o, scr, dir, args[0])
	}
	key, err := ownKey(dir)
	if err != nil {
		return keyError(err)
	}
	if verb == "export" {
		return exportKey(scr, key, args[0])
	}
	doc := keyDocument{V: 1, Type: "key", Key: key.Public().String(), File: node.KeyFile(dir)}
	if o.json {
		scr.event(doc)
		return nil
	}
	scr.result("0x" + doc.Key)
	return nil
}

// keyError gives what is wrong with a key file its exit code.
func keyError(err error) error {
	switch {
	case errors.Is(err, identity.ErrKeyFile):
		return &codedError{exitIntegrity, err}
	case errors.Is(err, identity.ErrKeyExists):
		return &codedError{exitExists, err}
	}
	return err
}

func exportKey(scr *screen, key *identity.Key, path string) error {
	if path == "-" {
		_, err := scr.s.out.Write(key.Text())
		return err
	}
	if err := identity.SaveKey(path, key); err != nil {
		return keyError(err)
	}
	scr.note("the secret key is in %s, readable by you alone: keep it as you keep the key of a house", path)
	return nil
}

// importKey puts a key in a state folder that has none, and that nobody uses.
func importKey(ctx context.Context, o *keyOptions, scr *screen, dir, path string) error {
	from := scr.s.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return pathError(err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, identity.MaxKeyFile+1))
	if err != nil {
		return pathError(err)
	}
	key, err := identity.ParseKey(text)
	if err != nil {
		return keyError(fmt.Errorf("%s: %w", path, err))
	}
	o.daemon = "auto"
	if c, err := o.reach(ctx, scr.s); err != nil {
		return err
	} else if c != nil {
		pid := c.About().PID
		_ = c.Close() // it was only asked whether it is there
		return &codedError{exitLocked, fmt.Errorf("%s is in use by another sharer (pid %d): stop it first", dir, pid)}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("state folder: %w; name another with --state-dir", err)
	}
	file := node.KeyFile(dir)
	if err := identity.SaveKey(file, key); errors.Is(err, identity.ErrKeyExists) {
		old, lerr := identity.LoadKey(file)
		if lerr == nil && old.Public() == key.Public() {
			scr.note("that key is in use already")
			return nil
		}
		return &codedError{exitExists, fmt.Errorf("%w; move it away first, if you want to be 0x%s from now on", err, key.Public())}
	} else if errors.Is(err, fs.ErrPermission) || err != nil {
		return err
	}
	scr.note("from now on you are 0x%s", key.Public())
	return nil
}
