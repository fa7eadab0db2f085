//go:build nightly

package main

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDashboardsAreDrawn draws every dashboard with Grafana's components. The pictures have the
// size of their grid, and the colors of the series, which no dashboard without data has.
func TestDashboardsAreDrawn(t *testing.T) { //nolint:paralleltest // a browser for each dashboard
	out := t.TempDir()
	c := renderCommand{Prometheus: fakePrometheus(t, "").URL, Out: out, Namespace: "shop", Stack: "demo", Range: 4 * time.Minute, Rate: time.Minute}
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	for _, spec := range all {
		file, err := os.Open(filepath.Join(out, spec.uid+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		picture, err := png.Decode(file)
		file.Close()
		if err != nil {
			t.Errorf("%s: %v", spec.uid, err)
			continue
		}
		if size := picture.Bounds().Size(); size.X != pictureWidth || size.Y < 300 {
			t.Errorf("%s is %v", spec.uid, size)
		}
		for name, color := range map[string][3]uint32{"first": {0x56, 0xa6, 0x4b}, "second": {0xe0, 0xb4, 0x00}} {
			if !hasColor(picture, color) {
				t.Errorf("%s has no line of the %s series", spec.uid, name)
			}
		}
	}
}

// hasColor reports whether a pixel has about a color.
func hasColor(picture image.Image, want [3]uint32) bool {
	near := func(a, b uint32) bool { return max(a, b)-min(a, b) < 16 }
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			if near(r>>8, want[0]) && near(g>>8, want[1]) && near(b>>8, want[2]) {
				return true
			}
		}
	}
	return false
}
