//go:build linux && race

package rig

const raceDetector = true
