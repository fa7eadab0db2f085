package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

const (
	stackTimeout    = 6 * time.Minute
	deletionTimeout = 3 * time.Minute
	// fieldManager owns the fields that this program applies.
	fieldManager = "ecommerce-install"
)

var stackResource = schema.GroupVersionResource{Group: "ecommerce-stack.dev", Version: "v1alpha1", Resource: "ecommercestacks"}

func (i *installer) stacks() dynamic.ResourceInterface {
	return i.dynamic.Resource(stackResource).Namespace(i.Namespace)
}

// sample applies the sample stack with the images of its services. It first waits for the end
// of a stack that is being deleted.
func (i *installer) sample(ctx context.Context, detail func(string)) error {
	patch, err := i.imagesOf(services)
	if err != nil {
		return err
	}
	if err := i.awaitDeletion(ctx, detail); err != nil {
		return err
	}
	file, err := os.ReadFile(filepath.Join(i.cluster.Root, "config", "samples", "stack.yaml"))
	if err != nil {
		return err
	}
	objects, err := decode(file)
	if err != nil {
		return fmt.Errorf("read config/samples/stack.yaml: %w", err)
	}
	for _, object := range objects {
		if object.GetKind() == "ECommerceStack" {
			for service, image := range patch {
				if err := unstructured.SetNestedField(object.Object, image, "spec", service, "image"); err != nil {
					return err
				}
			}
		}
		resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
		var kind dynamic.ResourceInterface = i.dynamic.Resource(resource)
		if namespace := object.GetNamespace(); namespace != "" {
			kind = i.dynamic.Resource(resource).Namespace(namespace)
		}
		if _, err := kind.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// decode returns the objects of a YAML file.
func decode(file []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(file), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, err
		case len(object.Object) > 0:
			objects = append(objects, object)
		}
	}
}

func (i *installer) awaitDeletion(ctx context.Context, detail func(string)) error {
	var last *unstructured.Unstructured
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, deletionTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = i.stacks().Get(ctx, i.Stack, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the stack: %w", err)
		}
		detail("waiting for the end of the stack that is being deleted")
		return last.GetDeletionTimestamp() == nil, nil
	})
	if wait.Interrupted(err) && last != nil {
		phase, _, _ := unstructured.NestedString(last.Object, "status", "phase")
		return fmt.Errorf("the stack is being deleted, and still exists: %q; see `kubectl -n %s describe estack %s`", phase, i.Namespace, i.Stack)
	}
	return err
}

// setImages sets the images of some services of an existing stack.
func (i *installer) setImages(ctx context.Context, _ func(string)) error {
	list, err := i.imagesOf(i.services())
	if err != nil {
		return err
	}
	spec := map[string]any{}
	for service, image := range list {
		spec[service] = map[string]any{"image": image}
	}
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return err
	}
	changed, err := i.stacks().Patch(ctx, i.Stack, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return errors.New("the stack does not exist: run `make reload` without ONLY, which applies config/samples/stack.yaml")
	}
	if err == nil && changed.GetDeletionTimestamp() != nil {
		return errors.New("the stack is being deleted: run `make reload` without ONLY, which waits for its end and applies config/samples/stack.yaml")
	}
	return err
}

// imagesOf returns the images of services by name.
func (i *installer) imagesOf(names []string) (map[string]string, error) {
	list := map[string]string{}
	for _, name := range names {
		var err error
		if list[name], err = i.images.Reference(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// stack is the part of an ECommerceStack that this program reads.
type stack struct {
	Metadata struct {
		Generation        int64        `json:"generation"`
		DeletionTimestamp *metav1.Time `json:"deletionTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Paused bool `json:"paused"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration int64              `json:"observedGeneration"`
		Phase              string             `json:"phase"`
		Conditions         []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// ready waits until the services run the images, and the pods of other images have ended. If all
// services are rolled out, it also waits until the stack is Ready.
func (i *installer) ready(ctx context.Context, detail func(string)) error {
	images, err := i.imagesOf(i.services())
	if err != nil {
		return err
	}
	return i.await(ctx, waiting{
		namespace: i.Namespace, selector: "app.kubernetes.io/instance=" + i.Stack, images: images,
		timeout: stackTimeout, interval: pollInterval, detail: detail,
		done: func(ctx context.Context, pods []corev1.Pod) (bool, string, error) {
			object, err := i.stacks().Get(ctx, i.Stack, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, "", errors.New("the stack was deleted meanwhile: run `make reload`, which applies config/samples/stack.yaml")
			}
			if err != nil {
				return false, fmt.Sprintf("read the stack: %v", err), nil // the API server may restart
			}
			var s stack
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &s); err != nil {
				return false, "", err
			}
			if err := errors.Join(s.check(), superseded(object, images)); err != nil {
				return false, "", err
			}
			if len(i.Only) == 0 && !s.ready() {
				return false, s.Status.Phase, nil
			}
			missing, err := i.missing(ctx, pods, images)
			return missing == "", missing, err
		}})
}

// missing returns what is missing until only pods with the images run, or "".
func (i *installer) missing(ctx context.Context, pods []corev1.Pod, images map[string]string) (string, error) {
	for service, image := range images {
		name := i.Stack + "-" + service
		deployment, err := i.core.AppsV1().Deployments(i.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return "the Deployment " + name + " does not exist", nil
		case err != nil:
			return "", fmt.Errorf("read the Deployment %s: %w", name, err)
		case deployment.Spec.Template.Spec.Containers[0].Image != image:
			return "the operator has not set the image of " + name, nil
		case !rolledOut(deployment):
			return "the pods of " + name + " are replaced", nil
		}
	}
	for _, pod := range pods {
		image, ok := images[pod.Labels[nameLabel]]
		if ok && !runs(pod, image) && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
			return "the former pod " + pod.Name + " ends", nil
		}
	}
	return "", nil
}

// check returns an error if the operator does not roll out images of the stack.
func (s stack) check() error {
	switch {
	case s.Metadata.DeletionTimestamp != nil:
		return errors.New("the stack is being deleted: run `make reload`, which waits for its end and applies config/samples/stack.yaml")
	case s.Spec.Paused:
		return errors.New("the stack is paused: set spec.paused to false")
	}
	return nil
}

// superseded returns an error if a stack has other images than those that were set.
func superseded(object *unstructured.Unstructured, images map[string]string) error {
	for service, image := range images {
		if live, _, err := unstructured.NestedString(object.Object, "spec", service, "image"); err != nil || live != image {
			return fmt.Errorf("another reload, or a change of the stack, replaced the image of %s by %q", service, live)
		}
	}
	return nil
}

// ready reports whether the stack is Ready at its generation: right after a change the status is
// that of the previous one.
func (s stack) ready() bool {
	return s.Status.ObservedGeneration == s.Metadata.Generation && meta.IsStatusConditionTrue(s.Status.Conditions, "Ready")
}
