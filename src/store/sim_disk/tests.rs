//! What the simulated disk keeps and what it forgets.

use super::*;

fn path() -> PathBuf {
    PathBuf::from("/log/a")
}

/// A disk with a file that holds `old`, synced, name and all.
fn disk(seed: u64) -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new(seed);
    disk.set_contents(&path(), b"old".to_vec());
    let file = disk.open(&path(), Access::ReadWrite).unwrap();
    (disk, file)
}

#[test]
fn a_power_loss_keeps_what_was_synced() {
    for seed in 0..50 {
        let (disk, file) = disk(seed);
        file.write_at(3, b" and new").unwrap();
        file.sync().unwrap();
        disk.lose_power();
        assert!(file.len().is_err() && disk.list(Path::new("/log")).is_err());
        disk.restart();
        assert_eq!(disk.contents(&path()).unwrap(), b"old and new");
        assert!(file.len().is_err(), "its process is gone");
    }
}

#[test]
fn a_power_loss_keeps_any_sectors_of_what_was_not_synced() {
    let mut left = BTreeSet::new();
    for seed in 0..200 {
        let (disk, file) = disk(seed);
        file.write_at(0, &[1; 1024]).unwrap();
        disk.lose_power();
        disk.restart();
        left.insert(disk.contents(&path()).unwrap());
    }
    let mut second_only = vec![0; 1024];
    second_only[..3].copy_from_slice(b"old");
    second_only[512..].fill(1);
    for wanted in [b"old".to_vec(), vec![1; 512], vec![1; 1024], second_only] {
        assert!(left.contains(&wanted), "{} of {}", wanted.len(), left.len());
    }
}

#[test]
fn a_kill_keeps_what_was_written() {
    let (disk, file) = disk(1);
    file.write_at(3, b" and new").unwrap();
    disk.create(Path::new("/log/b")).unwrap();
    disk.kill();
    disk.restart();
    assert_eq!(disk.contents(&path()).unwrap(), b"old and new");
    assert_eq!(disk.list(Path::new("/log")).unwrap(), ["a", "b"]);
}

#[test]
fn names_outlive_a_power_loss_once_their_directory_is_synced() {
    let mut kept = BTreeSet::new();
    for seed in 0..100 {
        let (disk, _) = disk(seed);
        disk.create(Path::new("/log/synced")).unwrap();
        disk.sync_dir(Path::new("/log")).unwrap();
        disk.create(Path::new("/log/b")).unwrap();
        disk.rename(&path(), Path::new("/log/c")).unwrap();
        disk.sync_dir(Path::new("/elsewhere")).unwrap();
        disk.lose_power();
        disk.restart();
        kept.insert(disk.list(Path::new("/log")).unwrap().join(" "));
    }
    let all = ["a b synced", "a synced", "b c synced", "c synced"];
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn a_planned_fault_comes_at_its_call_and_once() {
    let (disk, file) = disk(1);
    disk.plan(disk.calls() + 2, Fault::Error(io::ErrorKind::PermissionDenied));
    let mut byte = [0];
    assert!(file.read_at(0, &mut byte).is_ok());
    let failed = file.read_at(0, &mut byte).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::PermissionDenied);
    assert!(file.read_at(0, &mut byte).is_ok());
}

#[test]
fn what_a_failed_sync_covered_is_not_kept_by_the_next_one() {
    let (disk, file) = disk(1);
    file.write_at(0, b"new").unwrap();
    disk.plan(disk.calls() + 1, Fault::Error(io::ErrorKind::Other));
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(disk.contents(&path()).unwrap(), b"new");
    disk.lose_power();
    disk.restart();
    assert_eq!(disk.contents(&path()).unwrap(), b"old");
}

#[test]
fn a_full_disk_takes_no_more_than_it_has_room_for() {
    let (disk, file) = disk(1);
    disk.set_capacity(Some(5));
    assert_eq!(disk.available_space(Path::new("/log")).unwrap(), 2);
    file.write_at(0, b"xyz").unwrap();
    let failed = file.write_at(3, b"abc").unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
    assert!(file.len().unwrap() <= 5);
    file.truncate(3).unwrap();
    disk.set_capacity(None);
    disk.plan_full(disk.calls() + 1..disk.calls() + 3);
    assert!(file.write_at(3, b"abc").is_err());
    assert!(disk.create(Path::new("/log/b")).is_err());
    assert!(disk.create(Path::new("/log/b")).is_ok());
}
