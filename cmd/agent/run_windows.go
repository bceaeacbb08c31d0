package main

import "errors"

func (r *runFlags) enforce() error { return errors.New("run: not on this system yet") }
