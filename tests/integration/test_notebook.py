"""The notebook, cell by cell, as a reader would run it; with fewer steps."""

import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.setenv('PATH', f'{Path(sys.executable).parent}:/usr/bin:/bin')
    notebook = nbformat.read(ROOT / 'notebooks/translate_and_train.ipynb', as_version=4)
    assert not any(cell.get('outputs') for cell in notebook.cells)  # kept without results
    first = next(cell for cell in notebook.cells if cell.cell_type == 'code')
    assert first.source.count('STEPS = 400') == 1
    first.source = first.source.replace('STEPS = 400', 'STEPS = 6')
    client = NotebookClient(notebook, timeout=300, resources={'metadata': {'path': tmp_path}})
    client.execute()  # raises at the first cell that does
    texts = [
        output.text
        for cell in notebook.cells
        for output in cell.get('outputs', [])
        if output.output_type == 'stream'
    ]
    assert any('grey levels away' in text for text in texts)
    assert any('mine_6.safetensors' in text for text in texts)
    pictures = sum(
        'image/png' in output.get('data', {})
        for cell in notebook.cells
        for output in cell.get('outputs', [])
    )
    assert pictures == 4
