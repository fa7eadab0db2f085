package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// StorageClass is the class whose volumes the supervisor provisions.
const StorageClass = "standard"

// Annotations of the protocol between provisioners, the scheduler and the volume
// controller.
const (
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	selectedNode  = "volume.kubernetes.io/selected-node"
)

// provisioner creates a folder and a local volume for each claim of the storage
// class, and removes both when the claim is deleted. It replaces an external
// provisioner, whose image this cluster cannot pull.
type provisioner struct {
	client kubernetes.Interface
	dir    string
}

// provision runs a provisioner until the context is canceled.
func provision(ctx context.Context, kubeconfig, dir string) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		slog.Error("cannot provision volumes", "error", err.Error())
		return
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		slog.Error("cannot provision volumes", "error", err.Error())
		return
	}
	p := &provisioner{client: client, dir: dir}
	if p.await(ctx) {
		p.run(ctx)
	}
}

// await waits until volumes can be listed, because informers whose first request
// fails retry with a long back-off. It reports false if the context is canceled.
func (p *provisioner) await(ctx context.Context) bool {
	for {
		_, err := p.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (p *provisioner) run(ctx context.Context) {
	const retry = 5 * time.Second
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	factory := informers.NewSharedInformerFactory(p.client, 0)
	claims, volumes := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake() },
		UpdateFunc: func(any, any) { wake() },
		DeleteFunc: func(any) { wake() },
	}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			slog.Error("cannot provision volumes", "error", err.Error())
			return
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		allClaims, claimsErr := claims.Lister().List(labels.Everything())
		allVolumes, volumesErr := volumes.Lister().List(labels.Everything())
		if err := errors.Join(claimsErr, volumesErr, p.reconcile(ctx, allClaims, allVolumes)); err != nil {
			slog.Error("cannot provision volumes", "error", err.Error())
			time.AfterFunc(retry, wake)
		}
	}
}

func (p *provisioner) reconcile(ctx context.Context, claims []*corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) error {
	var errs []error
	for _, claim := range claimsToProvision(claims, volumes) {
		if err := p.create(ctx, claim); err != nil {
			errs = append(errs, fmt.Errorf("create a volume for %s/%s: %w", claim.Namespace, claim.Name, err))
		}
	}
	for _, volume := range volumesToRemove(volumes) {
		if err := p.remove(ctx, volume); err != nil {
			errs = append(errs, fmt.Errorf("remove volume %s: %w", volume.Name, err))
		}
	}
	return errors.Join(errs...)
}

// claimsToProvision returns the claims of the storage class that have no volume
// and whose pod the scheduler has assigned to this node.
func claimsToProvision(claims []*corev1.PersistentVolumeClaim, volumes []*corev1.PersistentVolume) []*corev1.PersistentVolumeClaim {
	existing := map[string]bool{}
	for _, volume := range volumes {
		existing[volume.Name] = true
	}
	var result []*corev1.PersistentVolumeClaim
	for _, claim := range claims {
		class := claim.Spec.StorageClassName
		if class != nil && *class == StorageClass && claim.Annotations[selectedNode] == Name &&
			claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil && !existing[volumeName(claim)] {
			result = append(result, claim)
		}
	}
	return result
}

// volumesToRemove returns the volumes of this provisioner that are released and
// whose reclaim policy is Delete.
func volumesToRemove(volumes []*corev1.PersistentVolume) []*corev1.PersistentVolume {
	var result []*corev1.PersistentVolume
	for _, volume := range volumes {
		if volume.Annotations[provisionedBy] == Provisioner && volume.Status.Phase == corev1.VolumeReleased &&
			volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete && volume.DeletionTimestamp == nil {
			result = append(result, volume)
		}
	}
	return result
}

func volumeName(claim *corev1.PersistentVolumeClaim) string { return "pvc-" + string(claim.UID) }

// create creates the folder before the volume, so that every volume has a
// folder. Every user can write to it, because pods may run as any user.
func (p *provisioner) create(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	folder, err := p.folder(volumeName(claim))
	if err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Chmod(folder, 0o777); err != nil { // independent of the umask
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volumeFor(claim, folder), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		slog.Info("volume created", "claim", claim.Namespace+"/"+claim.Name, "folder", folder)
	}
	return err
}

func volumeFor(claim *corev1.PersistentVolumeClaim, folder string) *corev1.PersistentVolume {
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volumeName(claim), Annotations: map[string]string{provisionedBy: Provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              StorageClass,
			VolumeMode:                    &mode,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: folder}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{Name},
				}},
			}}}},
		},
	}
}

// remove deletes the data before the volume, so that no data remains without a
// volume.
func (p *provisioner) remove(ctx context.Context, volume *corev1.PersistentVolume) error {
	folder, err := p.folder(volume.Name)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	err = p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(volume.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// folder returns the folder of the volume's data. It derives the path from the
// name and ignores the path in the volume, which other clients can write, because
// remove deletes the folder as root.
func (p *provisioner) folder(volume string) (string, error) {
	id, ok := strings.CutPrefix(volume, "pvc-")
	if !ok || id == "" || filepath.Base(volume) != volume {
		return "", fmt.Errorf("%q is not the name of a volume of this provisioner", volume)
	}
	return filepath.Join(p.dir, volume), nil
}
