//! The door to SQLite.
//!
//! The C side. Every function finds its disk, calls the model, and turns the answer into a code; a panic
//! becomes an I/O error, never an unwinding through C.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::ffi;

use super::disk::{find, locked};
use super::state::{Code, DiskState, InodeId};
use super::{SECTOR_BYTES, VFS_NAME};

/// Longest path in bytes: 16 digits, a slash, a file name.
const PATH_BYTES_MAX: c_int = 256;

/// 1 January 2026 00:00 UTC as a Julian day: time stands still, for the sake of determinism.
const JULIAN_DAY: f64 = 2_461_041.5;

/// What SQLite keeps for an open file: its own header, and our box behind it.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    open: *mut OpenFile,
}

struct OpenFile {
    disk: Arc<Mutex<DiskState>>,
    inode: InodeId,
    handle: u64,
    life: u64,
}

impl OpenFile {
    /// Calls the model, unless this handle is from before a restart.
    fn with<T>(
        &self,
        stale: Code,
        call: impl FnOnce(&mut DiskState, InodeId) -> Result<T, Code>,
    ) -> Result<T, Code> {
        let mut state = locked(&self.disk);
        if state.life == self.life { call(&mut state, self.inode) } else { Err(stale) }
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1, // no shared memory, no memory mapping
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Registers the VFS, once per process; later calls return the first answer.
pub(super) fn register() -> Result<(), Code> {
    static REGISTERED: OnceLock<Result<(), Code>> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        let Ok(handle_bytes) = c_int::try_from(size_of::<Handle>()) else {
            return Err(ffi::SQLITE_MISUSE);
        };
        let Ok(name) = std::ffi::CString::new(VFS_NAME) else {
            return Err(ffi::SQLITE_MISUSE);
        };
        let vfs = ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: handle_bytes,
            mxPathname: PATH_BYTES_MAX,
            pNext: null_mut(),
            zName: name.into_raw(),
            pAppData: null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            // Extensions are loaded on explicit request only, which nothing here makes.
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        // SAFETY: the table and its name are leaked, so they outlive every use by SQLite, which links its
        // list through `pNext`; all functions in it have the signatures that version 1 of the interface
        // demands.
        match unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) } {
            ffi::SQLITE_OK => Ok(()),
            code => Err(code),
        }
    })
}

/// Runs the body of one callback: the code for its result, or `on_panic`.
fn answer(on_panic: Code, body: impl FnOnce() -> Result<(), Code>) -> Code {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => ffi::SQLITE_OK,
        Ok(Err(code)) => code,
        Err(_) => on_panic,
    }
}

/// The open file behind a handle.
///
/// # Safety
/// `file` was filled in by [`open`], and [`close`] has not been called; SQLite promises both to every
/// method.
unsafe fn open_file<'a>(file: *mut ffi::sqlite3_file) -> &'a OpenFile {
    // SAFETY: `szOsFile` made SQLite reserve a whole `Handle`, and `open` stored a live box in it.
    unsafe { &*(*file.cast::<Handle>()).open }
}

/// The text of a path.
///
/// # Safety
/// `path` points to a NUL-terminated string that lives during the call.
unsafe fn text<'a>(path: *const c_char) -> Result<&'a str, Code> {
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(path) }.to_str().map_err(|_| ffi::SQLITE_CANTOPEN)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let handle = file.cast::<Handle>();
    // SAFETY: SQLite hands over `szOsFile` writable bytes. No methods means: do not call `close` after a
    // failure.
    unsafe { (*file).pMethods = null() };
    answer(ffi::SQLITE_CANTOPEN, || {
        let (disk, name) = if path.is_null() {
            // A temporary file: its own little disk, gone when it is closed.
            (Arc::new(Mutex::new(DiskState::default())), "temporary")
        } else {
            // SAFETY: SQLite passes a NUL-terminated path that lives at least until `close`.
            find(unsafe { text(path) }?).ok_or(ffi::SQLITE_CANTOPEN)?
        };
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let must_be_new = create && flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0;
        let (opened, life) = {
            let mut state = locked(&disk);
            (state.open(name, create || path.is_null(), must_be_new)?, state.life)
        };
        let open = Box::new(OpenFile { disk, inode: opened.0, handle: opened.1, life });
        // SAFETY: as above; `flags_out` is either null or writable. The box is taken back in `close`.
        unsafe {
            (*handle).open = Box::into_raw(open);
            (*file).pMethods = &METHODS;
            if !flags_out.is_null() {
                *flags_out = flags;
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    answer(ffi::SQLITE_IOERR_CLOSE, || {
        // SAFETY: `open` put the box there; SQLite closes a file exactly once and uses it no more.
        let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
        // A handle from before a restart was closed by the restart.
        let _ = open.with(ffi::SQLITE_OK, |disk, inode| {
            disk.close(inode, open.handle);
            Ok(())
        });
        Ok(())
    })
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    answer(ffi::SQLITE_IOERR_READ, || {
        let bytes = usize::try_from(bytes).map_err(|_| ffi::SQLITE_IOERR_READ)?;
        let offset = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_READ)?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: SQLite gives `bytes` writable bytes that nobody else touches during the call. They are
        // zeroed first because they may be uninitialised, which a slice must not be.
        let buffer = unsafe {
            std::ptr::write_bytes(buffer.cast::<u8>(), 0, bytes);
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), bytes)
        };
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        let enough = open.with(ffi::SQLITE_IOERR_READ, |disk, inode| disk.read(inode, offset, buffer))?;
        if enough { Ok(()) } else { Err(ffi::SQLITE_IOERR_SHORT_READ) }
    })
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    bytes: c_int,
    offset: i64,
) -> c_int {
    answer(ffi::SQLITE_IOERR_WRITE, || {
        let bytes = usize::try_from(bytes).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        let offset = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: SQLite gives `bytes` readable bytes that nobody changes during the call.
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), bytes) };
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        open.with(ffi::SQLITE_IOERR_WRITE, |disk, inode| disk.write(inode, offset, data))
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    answer(ffi::SQLITE_IOERR_TRUNCATE, || {
        let length = usize::try_from(length).map_err(|_| ffi::SQLITE_IOERR_TRUNCATE)?;
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        open.with(ffi::SQLITE_IOERR_TRUNCATE, |disk, inode| disk.truncate(inode, length))
    })
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_FSYNC, || {
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        open.with(ffi::SQLITE_IOERR_FSYNC, DiskState::sync)
    })
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    answer(ffi::SQLITE_IOERR_FSTAT, || {
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        let length = open.with(ffi::SQLITE_IOERR_FSTAT, |disk, inode| Ok(disk.length(inode)))?;
        let length = i64::try_from(length).map_err(|_| ffi::SQLITE_IOERR_FSTAT)?;
        // SAFETY: SQLite gives a writable integer.
        unsafe { *size = length };
        Ok(())
    })
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_LOCK, || {
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        open.with(ffi::SQLITE_IOERR_LOCK, |disk, inode| {
            disk.inode(inode, ffi::SQLITE_IOERR_LOCK)?.lock(open.handle, level)
        })
    })
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_UNLOCK, || {
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        open.with(ffi::SQLITE_OK, |disk, inode| {
            disk.inode(inode, ffi::SQLITE_IOERR_UNLOCK)?.unlock(open.handle, level);
            Ok(())
        })
    })
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, || {
        // SAFETY: called by SQLite on an open file.
        let open = unsafe { open_file(file) };
        let held = open.with(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |disk, inode| {
            let locks = &disk.inode(inode, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?.locks;
            Ok(locks.iter().any(|(_, level)| *level >= ffi::SQLITE_LOCK_RESERVED))
        })?;
        // SAFETY: SQLite gives a writable integer.
        unsafe { *reserved = c_int::from(held) };
        Ok(())
    })
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    c_int::try_from(SECTOR_BYTES).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync_directory: c_int) -> c_int {
    answer(ffi::SQLITE_IOERR_DELETE, || {
        // SAFETY: SQLite passes a NUL-terminated path.
        let (disk, name) = find(unsafe { text(path) }?).ok_or(ffi::SQLITE_IOERR_DELETE_NOENT)?;
        locked(&disk).delete(name, sync_directory != 0)
    })
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    question: c_int,
    result: *mut c_int,
) -> c_int {
    answer(ffi::SQLITE_IOERR_ACCESS, || {
        // SAFETY: SQLite passes a NUL-terminated path.
        let found = find(unsafe { text(path) }?);
        let exists = match found {
            Some((disk, name)) => locked(&disk).exists(name, question == ffi::SQLITE_ACCESS_EXISTS)?,
            None => false,
        };
        // SAFETY: SQLite gives a writable integer.
        unsafe { *result = c_int::from(exists) };
        Ok(())
    })
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room_bytes: c_int,
    full: *mut c_char,
) -> c_int {
    answer(ffi::SQLITE_CANTOPEN, || {
        // SAFETY: SQLite passes a NUL-terminated path.
        let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
        if usize::try_from(room_bytes).is_ok_and(|room| path.len() <= room) {
            // SAFETY: `full` has room for `room_bytes` bytes, and is not part of `path`.
            unsafe { std::ptr::copy_nonoverlapping(path.as_ptr().cast::<c_char>(), full, path.len()) };
            Ok(())
        } else {
            Err(ffi::SQLITE_CANTOPEN)
        }
    })
}

/// SQLite asks only its default VFS for randomness, which this one never is.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
    let Ok(count) = usize::try_from(bytes) else {
        return 0;
    };
    // SAFETY: SQLite gives `bytes` writable bytes.
    unsafe { std::ptr::write_bytes(out, 0x5a, count) };
    bytes
}

/// A busy time-out passes at once: nobody else runs meanwhile.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, julian_day: *mut f64) -> c_int {
    // SAFETY: SQLite gives a writable number.
    unsafe { *julian_day = JULIAN_DAY };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
