package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// embeddedFixture creates a stack with embedded servers, of which no pod becomes ready, and
// returns the StatefulSet of MySQL.
func embeddedFixture(t *testing.T) (*fixture, *appsv1.StatefulSet) {
	t.Helper()
	f := newFixture(t)
	f.stack.Spec = v1alpha1.ECommerceStackSpec{Observability: f.stack.Spec.Observability, MySQL: v1alpha1.MySQLSpec{
		Embedded: &v1alpha1.EmbeddedMySQL{Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi"), ClassName: f.namespace}},
	}}
	f.apply(t)
	set := &appsv1.StatefulSet{}
	f.eventually(t, func(ctx context.Context) error {
		return api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-mysql"}, set)
	})
	return f, set
}

func TestPodOfRevertedRevisionIsReplaced(t *testing.T) {
	t.Parallel()
	f, _ := embeddedFixture(t)
	pod := func(name, revision string) *corev1.Pod {
		labels := maps.Clone(apply.Labels("demo", "mysql"))
		labels[appsv1.StatefulSetRevisionLabel] = revision
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "mysql", Image: "localhost/mysql:none"}}},
		}
	}
	stuck, starting, ready := pod("stuck", "bad"), pod("starting", "good"), pod("ready", "bad")
	t.Cleanup(func() { // The deletion of the stack waits until no pod is left.
		if err := errors.Join(api.Delete(context.Background(), starting), api.Delete(context.Background(), ready)); err != nil {
			t.Error(err)
		}
	})
	f.create(t, ready)
	ready.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := api.Status().Update(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
	f.create(t, starting)
	f.create(t, stuck)
	f.setStatefulSetStatus(t, "mysql", func(set *appsv1.StatefulSet) {
		set.Status = appsv1.StatefulSetStatus{ObservedGeneration: set.Generation, Replicas: 1, CurrentReplicas: 1, CurrentRevision: "good", UpdateRevision: "good"}
	})
	f.eventuallyGone(t, stuck)
	f.waitForEvent(t, "StuckPodDeleted", "stuck")
	for _, name := range []string{"starting", "ready"} {
		f.get(t, name, &corev1.Pod{})
	}
}

func TestVolumesGrowAndPodsRemain(t *testing.T) {
	t.Parallel()
	f, set := embeddedFixture(t)
	yes := true
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Provisioner: "test.example/none", AllowVolumeExpansion: &yes}
	f.create(t, class)
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), class); err != nil {
			t.Error(err)
		}
	})
	claim := f.volume("data-demo-mysql-0", "mysql")
	claim.Spec.StorageClassName = &class.Name
	claim.Spec.VolumeName = "volume"
	f.create(t, claim)
	claim.Status.Phase = corev1.ClaimBound
	if err := api.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.MySQL.Embedded.Storage.Size = resource.MustParse("3Gi")
	})
	// The suite has no garbage collector, which removes the finalizer after the owner
	// references of the pods.
	f.eventually(t, func(ctx context.Context) error {
		live := &appsv1.StatefulSet{}
		f.get(t, set.Name, live)
		if live.UID != set.UID || live.DeletionTimestamp == nil || !slices.Contains(live.Finalizers, metav1.FinalizerOrphanDependents) {
			return fmt.Errorf("StatefulSet %+v is not deleted without its pods", live.ObjectMeta)
		}
		live.Finalizers = nil
		return api.Update(ctx, live)
	})
	f.eventually(t, func(ctx context.Context) error {
		live := &appsv1.StatefulSet{}
		if err := api.Get(ctx, client.ObjectKeyFromObject(set), live); err != nil {
			return err
		}
		size := live.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String()
		if live.UID == set.UID || size != "3Gi" {
			return fmt.Errorf("StatefulSet %s has volumes of %s, want another one with 3Gi", live.UID, size)
		}
		return nil
	})
	f.get(t, claim.Name, claim)
	if size := claim.Spec.Resources.Requests.Storage().String(); size != "3Gi" {
		t.Errorf("the volume has %s, want 3Gi", size)
	}
	f.waitForEvent(t, "VolumeExpanded", claim.Name)
	if n := f.countNotes(t, "StatefulSet demo-mysql"); n != 0 {
		t.Errorf("%d Events report the recreation as drift", n)
	}
}

func TestVolumeThatCannotGrowStallsTheStack(t *testing.T) {
	t.Parallel()
	f, set := embeddedFixture(t)
	claim := f.volume("data-demo-mysql-0", "mysql")
	f.create(t, claim)
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.MySQL.Embedded.Storage.Size = resource.MustParse("3Gi")
	})
	message := f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	if !strings.Contains(message, "expand PersistentVolumeClaim data-demo-mysql-0 to 3Gi") {
		t.Errorf("message %q does not name the volume", message)
	}
	live := &appsv1.StatefulSet{}
	if f.get(t, set.Name, live); live.UID != set.UID || live.DeletionTimestamp != nil {
		t.Error("the StatefulSet was recreated for a volume that cannot grow")
	}
}
