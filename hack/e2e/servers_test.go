//go:build nightly

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// TestWrongImageOfDatabaseIsUndoneByReverting sets an image that does not exist.
func TestWrongImageOfDatabaseIsUndoneByReverting(t *testing.T) {
	s := newShop(t)
	product := s.product(t, 3)
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	t.Cleanup(func() {
		_, _ = kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "patch", "estack", stack, "--type=json", "-p", `[{"op":"test","path":"/spec/mysql/embedded/image","value":"`+missingImage+`"},{"op":"remove","path":"/spec/mysql/embedded/image"}]`)
	})
	before := mustKubectl(t, "-n", namespace, "get", "estack", stack, "-o", "jsonpath={.spec.mysql.embedded.image}")
	setImage := func(image string) {
		value, err := json.Marshal(image)
		if err != nil {
			t.Fatal(err)
		}
		if image == "" {
			value = []byte("null")
		}
		patchStack(t, `{"spec":{"mysql":{"embedded":{"image":`+string(value)+`}}}}`)
	}
	setImage(missingImage)
	eventually(t, 3*time.Minute, func() (bool, any) {
		message := conditionOf(t, namespace, "Stalled")
		return strings.HasPrefix(message, "True") && strings.Contains(message, missingImage), message
	})
	setImage(before)
	waitUntilReady(t)
	events := mustKubectl(t, "-n", namespace, "get", "events.events.k8s.io", "-o", `jsonpath={range .items[?(@.reason=="StuckPodDeleted")]}{.note}{"\n"}{end}`)
	if !strings.Contains(events, stack+"-mysql-0") {
		t.Errorf("Events %q, want one about the stuck pod", events)
	}
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	s.awaitStock(t, product, client.Stock{Available: 1, Removed: 2})
}

const missingImage = "localhost/ecommerce-stack/missing:none"

// conditionOf returns the status and the message of a condition of a stack.
func conditionOf(t *testing.T, in, condition string) string {
	t.Helper()
	return mustKubectl(t, "-n", in, "get", "estack", stack, "-o", `jsonpath={range .status.conditions[?(@.type=="`+condition+`")]}{.status} {.message}{end}`)
}

// TestStatefulSetIsRecreatedAroundItsPods replaces a StatefulSet by one with another headless
// Service, which cannot be changed, as an earlier version of the chart could have left.
func TestStatefulSetIsRecreatedAroundItsPods(t *testing.T) {
	s := newShop(t)
	product := s.product(t, 2)
	setPaused := func(value string) { patchStack(t, `{"spec":{"paused":`+value+`}}`) }
	for _, server := range []string{"mysql", "rabbitmq"} {
		name := "statefulset/" + stack + "-" + server
		uid := func(object string) string {
			return mustKubectl(t, "-n", namespace, "get", object, "-o", "jsonpath={.metadata.uid}")
		}
		pod := uid("pod/" + stack + "-" + server + "-0")
		setPaused("true")
		t.Cleanup(func() {
			_, _ = kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"paused":false}}`)
		})
		eventually(t, time.Minute, func() (bool, any) {
			phase := mustKubectl(t, "-n", namespace, "get", "estack", stack, "-o", "jsonpath={.status.phase}")
			return strings.HasPrefix(phase, "Paused"), phase
		})
		var set map[string]any
		if err := json.Unmarshal([]byte(mustKubectl(t, "-n", namespace, "get", name, "-o", "json")), &set); err != nil {
			t.Fatal(err)
		}
		spec, metadata := set["spec"].(map[string]any), set["metadata"].(map[string]any)
		service := spec["serviceName"].(string)
		spec["serviceName"] = "former"
		for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"} {
			delete(metadata, field)
		}
		delete(set, "status")
		former, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		mustKubectl(t, "-n", namespace, "delete", name, "--cascade=orphan")
		if out, err := kubectl(t, string(former), "create", "--filename=-"); err != nil {
			t.Fatalf("create the former StatefulSet: %v\n%s", err, out)
		}
		formerUID := uid(name)
		setPaused("false")
		eventually(t, 2*time.Minute, func() (bool, any) {
			now, err := kubectl(t, "", "-n", namespace, "get", name, "-o", "jsonpath={.metadata.uid} {.spec.serviceName} {.status.readyReplicas}")
			return err == nil && !strings.HasPrefix(now, formerUID) && strings.HasSuffix(now, " "+service+" 1"), now
		})
		if now := uid("pod/" + stack + "-" + server + "-0"); now != pod {
			t.Errorf("the pod of %s was replaced", server)
		}
		waitUntilReady(t)
		s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	}
}

// TestVolumeGrowsThroughTheStack uses a StorageClass that first refuses to expand volumes. No
// provisioner of the development clusters expands them, so the test ends with the request.
func TestVolumeGrowsThroughTheStack(t *testing.T) {
	needsCluster(t)
	const scratch = "volumes"
	newStack(t, scratch, `{"deletionPolicy":"Delete"}`)
	setExpansion := func(value string) {
		mustKubectl(t, "patch", "storageclass", "standard", "-p", `{"allowVolumeExpansion":`+value+`}`)
	}
	setExpansion("false")
	t.Cleanup(func() {
		_, _ = kubectlWith(context.WithoutCancel(t.Context()), "patch", "storageclass", "standard", "-p", `{"allowVolumeExpansion":null}`)
	})
	pod := mustKubectl(t, "-n", scratch, "get", "pod", stack+"-mysql-0", "-o", "jsonpath={.metadata.uid}")
	mustKubectl(t, "-n", scratch, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"mysql":{"embedded":{"storage":{"size":"6Gi"}}}}}`)
	claim := "data-" + stack + "-mysql-0"
	eventually(t, time.Minute, func() (bool, any) {
		message := conditionOf(t, scratch, "Stalled")
		return strings.HasPrefix(message, "True") && strings.Contains(message, "expand PersistentVolumeClaim "+claim+" to 6Gi"), message
	})
	setExpansion("true")
	eventually(t, 3*time.Minute, func() (bool, any) {
		requested := mustKubectl(t, "-n", scratch, "get", "persistentvolumeclaim", claim, "-o", "jsonpath={.spec.resources.requests.storage}")
		template, err := kubectl(t, "", "-n", scratch, "get", "statefulset", stack+"-mysql", "-o", "jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}")
		return err == nil && requested == "6Gi" && template == "6Gi", requested + " " + template
	})
	mustKubectl(t, "-n", scratch, "wait", "--for=condition=Ready", "estack/"+stack, "--timeout=3m")
	if now := mustKubectl(t, "-n", scratch, "get", "pod", stack+"-mysql-0", "-o", "jsonpath={.metadata.uid}"); now != pod {
		t.Error("the pod was replaced")
	}
}
