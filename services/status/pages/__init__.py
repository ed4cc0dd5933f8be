"""The public pages as files: HTML, feeds, JSON and badges, made of a Site and nothing else."""

from services.status.pages.forms import AnswerForm, answer_page, layout, missing_page
from services.status.pages.frame import stylesheet
from services.status.pages.writing import Pages, Written

__all__ = ["AnswerForm", "Pages", "Written", "answer_page", "layout", "missing_page", "stylesheet"]
