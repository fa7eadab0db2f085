package node

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestReconcileCreatesFolderAndVolume(t *testing.T) {
	p := &provisioner{client: fake.NewClientset(), dir: t.TempDir()}
	claim := claimOf(StorageClass)
	if err := p.reconcile(t.Context(), []*corev1.PersistentVolumeClaim{claim}, nil); err != nil {
		t.Fatal(err)
	}
	volume, err := p.client.CoreV1().PersistentVolumes().Get(t.Context(), "pvc-1234", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if volume.Spec.ClaimRef.UID != claim.UID || volume.Spec.Capacity.Storage().String() != "1Gi" {
		t.Errorf("volume of %s for %+v", volume.Spec.Capacity.Storage(), volume.Spec.ClaimRef)
	}
	info, err := os.Stat(volume.Spec.Local.Path)
	if err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("folder %v, %v; want mode 0777", info, err)
	}
	if err := p.reconcile(t.Context(), []*corev1.PersistentVolumeClaim{claim}, nil); err != nil {
		t.Errorf("repeated after a crash: %v", err)
	}
}

func TestClaimsToProvisionSkipsOtherClaims(t *testing.T) {
	other, bound, deleted, unscheduled := claimOf("other"), claimOf(StorageClass), claimOf(StorageClass), claimOf(StorageClass)
	bound.Spec.VolumeName = "pvc-1234"
	deleted.DeletionTimestamp = &metav1.Time{}
	unscheduled.Annotations = nil
	classless := claimOf(StorageClass)
	classless.Spec.StorageClassName = nil
	for name, claim := range map[string]*corev1.PersistentVolumeClaim{"of another class": other, "that is bound": bound,
		"that is deleted": deleted, "that no pod waits for": unscheduled, "without a class": classless} {
		if got := claimsToProvision([]*corev1.PersistentVolumeClaim{claim}, nil); len(got) > 0 {
			t.Errorf("a claim %s gets a volume", name)
		}
	}
	existing := volumeFor(claimOf(StorageClass), "/folder")
	if got := claimsToProvision([]*corev1.PersistentVolumeClaim{claimOf(StorageClass)}, []*corev1.PersistentVolume{existing}); len(got) > 0 {
		t.Error("a claim gets a second volume")
	}
}

func TestReleasedVolumeIsRemovedWithData(t *testing.T) {
	volume := volumeFor(claimOf(StorageClass), "/somewhere/else")
	volume.Status.Phase = corev1.VolumeReleased
	p := &provisioner{client: fake.NewClientset(volume), dir: t.TempDir()}
	folder := filepath.Join(p.dir, volume.Name)
	if err := os.MkdirAll(filepath.Join(folder, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.reconcile(t.Context(), nil, []*corev1.PersistentVolume{volume}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the data still exists")
	}
	if left, _ := p.client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{}); len(left.Items) > 0 {
		t.Error("the volume still exists")
	}
}

func TestVolumesToRemoveSkipsBoundRetainedAndForeign(t *testing.T) {
	bound, retained, foreign := releasedVolume(), releasedVolume(), releasedVolume()
	bound.Status.Phase = corev1.VolumeBound
	retained.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	foreign.Annotations = nil
	if got := volumesToRemove([]*corev1.PersistentVolume{bound, retained, foreign}); len(got) > 0 {
		t.Errorf("%d of them are removed", len(got))
	}
	if got := volumesToRemove([]*corev1.PersistentVolume{releasedVolume()}); len(got) != 1 {
		t.Error("a released volume is not removed")
	}
}

func TestFolderRejectsInvalidVolumeNames(t *testing.T) {
	p := &provisioner{dir: "/volumes"}
	for _, name := range []string{"", "pvc-", "etc", "../etc", "pvc-/../../etc", "pvc-1/2"} {
		if folder, err := p.folder(name); err == nil {
			t.Errorf("%q is accepted as %s", name, folder)
		}
	}
}

func claimOf(class string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data", UID: "1234", Annotations: map[string]string{selectedNode: Name}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
}

func releasedVolume() *corev1.PersistentVolume {
	volume := volumeFor(claimOf(StorageClass), "/folder")
	volume.Status.Phase = corev1.VolumeReleased
	return volume
}
